"""Puts the networks together: engine, detector, classifier. Importing this imports TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

from worker.analyse import Analyser
from worker.classifier import EmotionClassifier
from worker.engine import KerasEngine
from worker.faces.detector import FaceDetector
from worker.settings import WorkerSettings


def build_analyser(
    settings: WorkerSettings, decoders: Executor, observe: Callable[[str, float], None]
) -> tuple[Analyser, dict[str, str]]:
    """The warmed-up analyser and what `emotion_model_info` says of it.

    Raises `ArtifactError` for a model that cannot be used.
    """
    engine = KerasEngine()
    classifier = EmotionClassifier(engine, settings.model)
    detector = FaceDetector(engine, threshold=settings.threshold)
    detector.warm_up()
    classifier.warm_up()
    info = {
        "model": classifier.manifest.name,
        "sha256": classifier.manifest.sha256,
        "engine": engine.name,
    }
    return Analyser(detector, classifier, decoders, observe), info
