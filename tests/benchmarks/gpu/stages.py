"""Each stage of the worker alone, then all of them together."""

from __future__ import annotations

import queue
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from tests.benchmarks.gpu.jpegs import messages
from worker.analyse import Analyser
from worker.classifier import EmotionClassifier, classifier_source
from worker.engine import Engine
from worker.faces.crop import crop_face
from worker.faces.detector import FaceDetector, detector_source
from worker.outcome import Seen

ROUNDS = 5
_LOOKED = 64  # pictures that faces are counted in
_SIDE = 300  # of what the detector sees


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a stage is alone. `where` it works: "cores" or "device"; items are frames or faces.

    items_per_s   median of `ROUNDS`
    per_frame     items in a frame: faces for what works on faces
    """

    stage: str
    where: str
    batch: int
    items_per_s: float
    per_frame: float = 1.0

    @property
    def frames_per_s(self) -> float:
        return self.items_per_s / self.per_frame if self.per_frame else float("inf")


@dataclass(frozen=True, slots=True)
class Limit:
    """What all stages on one resource come to, when it does nothing else."""

    where: str
    frames_per_s: float
    slowest: str


def limits(rates: Sequence[Rate]) -> list[Limit]:
    """For cores and device, each with its best batch, the lower first: the wall is the first."""
    best: dict[str, Rate] = {}
    for rate in rates:
        known = best.get(rate.stage)
        if known is None or rate.frames_per_s > known.frames_per_s:
            best[rate.stage] = rate
    found = []
    for where in {rate.where for rate in rates}:
        here = [rate for rate in best.values() if rate.where == where]
        seconds = sum(1 / rate.frames_per_s for rate in here)
        slowest = min(here, key=lambda rate: rate.frames_per_s).stage
        found.append(Limit(where, 1 / seconds, slowest))
    return sorted(found, key=lambda limit: limit.frames_per_s)


def measure(
    engine: Engine,
    jpegs: Sequence[bytes],
    batches: Sequence[int],
    threads: int,
    say: Callable[[str], None],
) -> list[Rate]:
    """Every stage at every batch size, on pictures of the clip."""
    detector = engine.compile(detector_source(), buckets=batches)
    classifier = engine.compile(classifier_source()[1], buckets=batches)
    finder = FaceDetector(engine, buckets=batches[:1])
    images = [_decoded(data) for data in jpegs]
    looked = images[:: max(1, len(images) // _LOOKED)]
    faces = [(image, face.box) for image, found in zip(looked, finder.detect(looked), strict=True)
             for face in found]  # fmt: skip
    per_frame = len(faces) / len(looked)
    rates = []
    with ThreadPoolExecutor(threads) as pool:
        for batch in batches:
            data, pictures = _fill(jpegs, batch), _fill(images, batch)
            small = np.stack([_resized(image) for image in pictures])
            some = _fill(faces, batch) if faces else []
            crops = np.random.default_rng(0).integers(0, 256, (batch, 96, 96, 1), np.uint8)
            # Without faces there is nothing to crop, and to classify nothing that would count.
            todo: list[tuple[str, str, Callable[[], Any], float]] = [
                ("decode", "cores", lambda data=data: _all(pool, _decoded, data), 1.0),
                ("resize", "cores", lambda some=pictures: _all(pool, _resized, some), 1.0),
                ("detect", "device", lambda small=small: detector(small), 1.0),
                ("crop", "cores", lambda some=some: _all(pool, _cropped, some), per_frame),
                ("classify", "device", lambda crops=crops: classifier(crops), per_frame),
            ]
            for stage, where, work, items in todo:
                if not items:
                    continue
                rates.append(Rate(stage, where, batch, batch / _seconds(work), items))
                say(f"{stage:9s} batch {batch:3d}  {rates[-1].items_per_s:9.0f} a second")
    return rates


def whole(
    engine: Engine, jpegs: Sequence[bytes], *, batch: int, lanes: int, threads: int, frames: int
) -> tuple[float, float]:
    """Frames a second of whole analysers in `lanes` lanes, from memory, and faces a frame."""
    buckets = [2**power for power in range(batch.bit_length())]
    with ThreadPoolExecutor(threads, "decode") as decoders:
        detector = FaceDetector(engine, buckets=buckets)
        classifier = EmotionClassifier(engine, buckets=buckets)
        detector.warm_up()
        classifier.warm_up()
        analyser = Analyser(detector, classifier, decoders, lambda _stage, _seconds: None)
        work: queue.SimpleQueue[Any] = queue.SimpleQueue()
        waiting = list(messages(jpegs, frames))
        for start in range(0, frames, batch):
            work.put(waiting[start : start + batch])
        with ThreadPoolExecutor(lanes, "lane") as pool:
            began_s = time.perf_counter()
            found = [pool.submit(_lane, analyser, work) for _ in range(lanes)]
            faces = sum(lane.result() for lane in found)
            seconds = time.perf_counter() - began_s
    return frames / seconds, faces / frames


def _lane(analyser: Analyser, work: queue.SimpleQueue[Any]) -> int:
    faces = 0
    while True:
        try:
            batch = work.get_nowait()
        except queue.Empty:
            return faces
        outcomes = analyser.analyse(batch)
        faces += sum(len(outcome.faces) for outcome in outcomes if isinstance(outcome, Seen))


def _seconds(work: Callable[[], Any]) -> float:
    work()  # compiled, and in the caches
    times = []
    for _ in range(ROUNDS):
        began_s = time.perf_counter()
        work()
        times.append(time.perf_counter() - began_s)
    return statistics.median(times)


def _all(pool: Executor, work: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    return list(pool.map(work, items))


def _fill(items: Sequence[Any], count: int) -> list[Any]:
    return [items[place % len(items)] for place in range(count)]


def _decoded(data: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def _resized(image: Any) -> Any:
    return cv2.resize(image, (_SIDE, _SIDE))


def _cropped(face: Any) -> Any:
    return crop_face(*face)
