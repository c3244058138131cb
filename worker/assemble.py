"""Puts the networks together: engine, detector, classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import cv2

from contract.process.memory import keep_freed_memory
from worker.analyse import Analyser
from worker.classifier import EmotionClassifier
from worker.engines.choose import Choice, choose_engine
from worker.faces.detector import FaceDetector
from worker.settings import WorkerSettings

Warm = TypeVar("Warm", FaceDetector, EmotionClassifier)


def build_analyser(
    settings: WorkerSettings,
    decoders: Executor | None,
    observe: Callable[[str, float], None],
    choice: Choice | None = None,
) -> tuple[Analyser, dict[str, str]]:
    """The warmed-up analyser and what `emotion_model_info` says of it.

    choice    the engine, if it was chosen already by these settings

    Imports TensorFlow only if the engine needs it. Raises `ArtifactError` for a model that cannot
    be used and `UsageError` for an engine or a precision that is not to be had here.
    """
    keep_freed_memory()
    # The lanes are what runs at the same time; OpenCV's own threads would only be in their way.
    cv2.setNumThreads(1)
    choice = choice or choose_engine(
        settings.engine, settings.precision, threads=settings.threads, cache=settings.cache
    )
    engine = choice.engine
    # No frame batch is larger than this; more faces than frames are classified in several batches.
    batch_size = settings.batch_size or engine.batch_size
    buckets = [2**power for power in range(batch_size.bit_length())]
    buckets.append(batch_size)
    detector_of = partial(FaceDetector, engine, threshold=settings.threshold)
    classifier_of = partial(EmotionClassifier, engine, settings.model)
    # On a first start OpenVINO converts both, each on a core; Keras builds one at a time.
    with ThreadPoolExecutor(1 if engine.name.startswith("keras") else 2) as threads:
        detector_made = threads.submit(_warm, detector_of, buckets)
        classifier_made = threads.submit(_warm, classifier_of, buckets)
        detector, classifier = detector_made.result(), classifier_made.result()
    info = {
        "model": classifier.manifest.name,
        "sha256": classifier.manifest.sha256,
        "engine": engine.name,
        "precision": _precision(detector.precision, classifier.precision),
        "reason": choice.reason,
    }
    analyser = Analyser(
        detector,
        classifier,
        # A lane for every core decodes for itself.
        decoders if settings.decoders > engine.lanes else None,
        observe,
        batch_size=batch_size,
        lanes=engine.lanes,
        detect_every=settings.detect_every,
    )
    return analyser, info


def _warm(make: Callable[..., Warm], buckets: Sequence[int]) -> Warm:
    network = make(buckets=buckets)
    network.warm_up()
    return network


def _precision(detector: str, classifier: str) -> str:
    same = detector == classifier
    return detector if same else f"{detector} (detector), {classifier} (classifier)"
