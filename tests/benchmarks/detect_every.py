"""Prints what `--detect-every N` costs in accuracy and saves in time, against the detector on
every frame.

    python -m tests.benchmarks.detect_every [CLIP...]        (the shipped clip and the shared ones)
    EMOTION_PRECISION=bfloat16 python -m tests.benchmarks.detect_every

Frames of all clips go through `Analyser.analyse` as a worker would get them, each clip a source, in
batches of 8, in one thread. Frames a second and core-milliseconds a frame are those of analyse()
alone, the better of two passes; the latter hardly change when the machine is busy.
Columns: mean overlap (intersection over union) with the boxes of N = 1, and the worst twentieth;
faces of N = 1; those missed, and those too many; same label; mean difference of a probability; how
many frames the detector saw.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from contract.event import Box, FaceEmotion
from contract.frame import FrameMessage
from worker.analyse import Analyser
from worker.decode import Image
from worker.faces.detector import Detection
from worker.outcome import Seen

REPOSITORY = Path(__file__).parents[2]
BATCH = 8
COLUMNS = "{:>3} {:>6} {:>9} {:>6} {:>6} {:>6} {:>10} {:>7} {:>8} {:>8} {:>8}"
LEAST_OVERLAP = 0.3  # less is another face


class CountingDetector:
    """The analyser's detector, and how many pictures it saw."""

    def __init__(self, analyser: Analyser) -> None:
        self._detector = analyser._detector
        self.pictures = 0

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        self.pictures += len(images)
        return self._detector.detect(images)


@dataclass
class Comparison:
    """One N against N = 1, over all clips."""

    overlaps: list[float]
    differences: list[float]
    same_labels: int = 0
    missed: int = 0
    extra: int = 0


def read(clip: Path) -> list[FrameMessage]:
    messages = []
    with av.open(str(clip)) as container:
        rate = float(container.streams.video[0].average_rate)
        for seq, picture in enumerate(container.decode(video=0)):
            ok, data = cv2.imencode(".jpg", picture.to_ndarray(format="bgr24"))
            assert ok
            messages.append(
                FrameMessage(
                    clip.stem, "s", seq, int(seq / rate * 1e9), None,
                    picture.width, picture.height, data.tobytes(),
                )
            )  # fmt: skip
    return messages


def batches(frames: Sequence[FrameMessage]) -> Iterator[list[FrameMessage]]:
    remaining = iter(frames)
    while batch := list(itertools.islice(remaining, BATCH)):
        yield batch


def compare(reference: Sequence[Seen], found: Sequence[Seen]) -> Comparison:
    result = Comparison([], [])
    for expected, got in zip(reference, found, strict=True):
        left = list(got.faces)
        for face in expected.faces:
            nearest = max(left, key=lambda other: overlap(face.box, other.box), default=None)
            if nearest is None or overlap(face.box, nearest.box) < LEAST_OVERLAP:
                result.missed += 1
                continue
            left.remove(nearest)
            result.overlaps.append(overlap(face.box, nearest.box))
            result.same_labels += face.label == nearest.label
            result.differences.append(difference(face, nearest))
        result.extra += len(left)
    return result


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(0, across) * max(0, down)
    return shared / (one.width * one.height + other.width * other.height - shared)


def difference(one: FaceEmotion, other: FaceEmotion) -> float:
    return float(np.mean([abs(p - other.scores[label]) for label, p in one.scores.items()]))


def run(analyser: Analyser, frames: Sequence[FrameMessage]) -> tuple[list[Seen], float, float]:
    """What was seen, seconds by the clock and seconds of all cores."""
    outcomes = []
    started_s, cores_s = time.perf_counter(), time.process_time()
    for batch in batches(frames):
        outcomes += analyser.analyse(batch)
    seconds, cores_s = time.perf_counter() - started_s, time.process_time() - cores_s
    seen = [outcome for outcome in outcomes if isinstance(outcome, Seen)]
    assert len(seen) == len(frames)
    return seen, seconds, cores_s


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.detect_every",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP")
    parser.add_argument("--every", type=int, nargs="+", default=[1, 2, 3, 5, 10], metavar="N")
    options = parser.parse_args()
    shared = REPOSITORY.parent / "shared" / "videos"
    clips = options.clips or [
        REPOSITORY / "deploy" / "demo" / "people.mp4",
        *sorted(path for path in shared.glob("*") if path.suffix in (".mkv", ".mp4")),
    ]
    frames = [frame for clip in clips for frame in read(clip)]

    from worker.assemble import build_analyser
    from worker.settings import WorkerSettings

    built, info = build_analyser(WorkerSettings(), None, _ignore)
    counting = CountingDetector(built)
    print(f"{len(clips)} clips, {len(frames)} frames, {info['engine']}")
    print(COLUMNS.format("N", "IoU", "worst 5 %", "faces", "missed", "extra", "same label", "|dp|",
                         "detected", "frames/s", "core ms"))  # fmt: skip
    reference: list[Seen] = []
    for every in options.every:
        passes = []
        for _ in range(2):
            counting.pictures = 0
            analyser = Analyser(counting, built._classifier, None, _ignore, detect_every=every)
            seen, *times_s = run(analyser, frames)
            passes.append(times_s)
        seconds, cores_s = np.min(passes, axis=0)
        reference = reference or seen
        result = compare(reference, seen)
        faces = len(result.overlaps)
        print(COLUMNS.format(
            str(every),
            f"{np.mean(result.overlaps):.3f}",
            f"{np.percentile(result.overlaps, 5):.3f}",
            str(faces + result.missed),
            str(result.missed),
            str(result.extra),
            f"{result.same_labels / faces:.1%}",
            f"{np.mean(result.differences):.4f}",
            f"{counting.pictures / len(frames):.0%}",
            f"{len(frames) / seconds:.1f}",
            f"{1e3 * cores_s / len(frames):.1f}",
        ), flush=True)  # fmt: skip
    return 0


def _ignore(_stage: str, _seconds: float) -> None:
    """Nobody measures the stages here."""


if __name__ == "__main__":
    sys.exit(main())
