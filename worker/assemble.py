"""Puts the networks together: engine, detector, classifier."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor

from worker.analyse import Analyser
from worker.classifier import EmotionClassifier
from worker.engines.choose import choose_engine
from worker.faces.detector import FaceDetector
from worker.settings import WorkerSettings


def build_analyser(
    settings: WorkerSettings, decoders: Executor, observe: Callable[[str, float], None]
) -> tuple[Analyser, dict[str, str]]:
    """The warmed-up analyser and what `emotion_model_info` says of it.

    Imports TensorFlow only if the engine needs it. Raises `ArtifactError` for a model that cannot
    be used and `UsageError` for an engine or a precision that is not to be had here.
    """
    choice = choose_engine(
        settings.engine, settings.precision, threads=settings.threads, cache=settings.cache
    )
    engine = choice.engine
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
        "precision": _precision(detector.precision, classifier.precision),
        "reason": choice.reason,
    }
    return Analyser(detector, classifier, decoders, observe, lanes=engine.lanes), info


def _precision(detector: str, classifier: str) -> str:
    return (
        detector if detector == classifier else f"{detector} (detector), {classifier} (classifier)"
    )
