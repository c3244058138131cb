"""Puts the networks together: engine, detector, classifier. Importing this imports TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

import cv2

from contract.process.memory import keep_freed_memory
from worker.analyse import Analyser
from worker.classifier import EmotionClassifier
from worker.engine import KerasEngine
from worker.faces.detector import FaceDetector
from worker.settings import WorkerSettings


def build_analyser(
    settings: WorkerSettings, decoders: Executor | None, observe: Callable[[str, float], None]
) -> tuple[Analyser, dict[str, str]]:
    """The warmed-up analyser and what `emotion_model_info` says of it.

    Raises `ArtifactError` for a model that cannot be used.
    """
    keep_freed_memory()
    # The lanes are what runs at the same time; OpenCV's own threads would only be in their way.
    cv2.setNumThreads(1)
    engine = KerasEngine()
    # No frame batch is larger than this; more faces than frames are classified in several batches.
    buckets = [2**power for power in range(settings.batch_size.bit_length())]
    buckets.append(settings.batch_size)
    classifier = EmotionClassifier(engine, settings.model, buckets=buckets)
    detector = FaceDetector(engine, threshold=settings.threshold, buckets=buckets)
    detector.warm_up()
    classifier.warm_up()
    info = {
        "model": classifier.manifest.name,
        "sha256": classifier.manifest.sha256,
        "engine": engine.name,
    }
    every = settings.detect_every
    return Analyser(detector, classifier, decoders, observe, detect_every=every), info
