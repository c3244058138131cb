"""The detector's int8 form: what calibrates it, how far its faces move.

A confidence near 0.5 moves by a quarter of what its logit does, and 0.02 at most is asked for: a
logit may be off by 0.08. All of the network in int8 moves some by 0.1, so what is sensitive stays
float. Worst confidence of 1,309 faces on 1,094 frames, the float layers in
bfloat16 (which alone moves 0.012):

| layers left float | worst |
|---|---|
| none, extremes averaged (NNCF's default) | 0.143 |
| the stem, sums and the L2 norm | 0.046 |
| and the fine map's head and first convolution | 0.027 |
| the same without NNCF's halved range of the first weights | 0.032 |
| and the convolution that leaves the fine map | 0.019 |
| and all heads and shortcuts beside: this one | 0.016 |

The layers were chosen on these frames, 300 of which calibrated: no frame is held out. In float32
instead of bfloat16 the last row is 0.015. It needs about three quarters of bfloat16's time;
all in int8 would need 0.56.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from contract.errors import UsageError
from trainer.quantize import ir
from worker.faces import boxes
from worker.faces.detector import stretched, with_margin

THRESHOLD = 0.5
MAX_DIFFERENCE = 0.02
# Two neighbouring priors can be nearly as confident, and either's box is kept: bfloat16 alone goes
# down to 0.86.
MIN_OVERLAP = 0.85
VIDEO_SUFFIXES = (".avi", ".mkv", ".mov", ".mp4", ".webm")

_SECOND_LOOKS = 0.25
_SEED = 0
# Faces of int8 are looked for from here, so that one at 0.49 is a difference of 0.02 and not lost.
_LEAST = THRESHOLD - 0.2
_SAME_FACE = 0.5

Picture = npt.NDArray[np.uint8]
Floats = boxes.Floats


@dataclass(frozen=True, slots=True)
class DetectorCost:
    """What differs from float32; of several precisions the worst counts.

    frames           frames looked at, each once as it is and once with a margin
    faces            faces of float32 with a confidence of at least 0.5 in all of these looks
    worst            the largest difference of a face's confidence
    overlap          the smallest intersection over union of a face's two boxes
    lost             faces without a box of int8 at their place
    other_count      looks in which another number of faces reaches 0.5
    """

    frames: int
    faces: int
    worst: float
    overlap: float
    lost: int
    other_count: int

    @property
    def looks(self) -> int:
        return 2 * self.frames

    @property
    def fault(self) -> str | None:
        """Why this is too much, or None."""
        if self.lost:
            return f"loses {self.lost:,} of {self.faces:,} faces"
        if self.worst > MAX_DIFFERENCE:
            return f"moves a confidence by {self.worst:.4f}, {MAX_DIFFERENCE:g} at most"
        if self.overlap < MIN_OVERLAP:
            return f"moves a box to an overlap of {self.overlap:.3f}, {MIN_OVERLAP:g} at least"
        return None


def is_float(op: Any) -> bool:
    """All but convolutions; and of these the stem, those that leave the fine map, and the heads."""
    if op.get_type_name() != "Convolution":
        return str(op.get_type_name()) in ("Add", "Multiply", "Power", "ReduceSum")
    sees: int = op.get_input_partial_shape(0)[2].get_length()
    channels, side = (op.get_output_partial_shape(0)[axis].get_length() for axis in (1, 2))
    fine = boxes.PRIOR_MAPS[0].side
    is_head = bool(channels % 5 == 0)  # four offsets and a logit per prior
    return is_head or sees > fine or (sees == fine and side < fine)


def frames(paths: Sequence[Path]) -> Iterator[npt.NDArray[np.uint8]]:
    """All frames of the videos, or of the videos in the folders, (H, W, 3) uint8 BGR.

    Raises `UsageError` naming what is missing or no video.
    """
    for path in _videos(paths):
        capture = cv2.VideoCapture(str(path))
        read, image = capture.read()
        if not read:
            raise UsageError(f"{path}: OpenCV reads no frame of it")
        while read:
            yield np.asarray(image, np.uint8)
            read, image = capture.read()
        capture.release()


def looks(paths: Sequence[Path]) -> tuple[list[Picture], list[Picture]]:
    """The pictures of the first and of the second look at every frame; raises as `frames`."""
    first, second = [], []
    for frame in frames(paths):
        first.append(stretched(frame))
        second.append(with_margin(frame))
    return first, second


def calibration_pictures(
    first: Sequence[Picture], second: Sequence[Picture], count: int
) -> list[Picture]:
    """`count` pictures, a quarter of them second looks, always the same ones."""
    chosen = np.random.default_rng(_SEED).permutation(len(first))[:count]
    seconds = round(_SECOND_LOOKS * len(chosen))
    return [second[i] for i in chosen[:seconds]] + [first[i] for i in chosen[seconds:]]


def measure(
    before: Any,
    after: Any,
    first: Sequence[Picture],
    second: Sequence[Picture],
    start: Callable[[str, int], Callable[[int], object]],
) -> DetectorCost:
    """How far the faces of `after`, the int8 form, are from those of `before`.

    start   begins a progress bar of a name and a total; returns what advances it
    """
    pictures = [*first, *second]

    def faces(model: Any, precision: str, name: str) -> list[Floats]:
        progress = start(f"detector {name}", len(pictures))
        return ir.run(model, pictures, precision, _faces, progress)

    reference = faces(before, "f32", "float32")
    costs = [
        compare(reference, faces(after, precision, f"int8+{precision}"))
        for precision in ir.precisions()
    ]
    return DetectorCost(
        frames=len(first),
        faces=costs[0].faces,
        worst=max(cost.worst for cost in costs),
        overlap=min(cost.overlap for cost in costs),
        lost=max(cost.lost for cost in costs),
        other_count=max(cost.other_count for cost in costs),
    )


def compare(reference: Sequence[Floats], found: Sequence[Floats]) -> DetectorCost:
    """Faces (M, 5) of each picture by float32 and by int8: corners, then the confidence."""
    faces = lost = other_count = 0
    worst, overlap = 0.0, 1.0
    for expected, actual in zip(reference, found, strict=True):
        expected = expected[expected[:, 4] >= THRESHOLD]
        other_count += len(expected) != int((actual[:, 4] >= THRESHOLD).sum())
        for face, row in zip(expected, boxes.overlaps(expected[:, :4], actual[:, :4]), strict=True):
            faces += 1
            best = int(row.argmax()) if len(row) else 0
            if not len(row) or row[best] < _SAME_FACE:
                lost += 1
                continue
            worst = max(worst, abs(float(face[4] - actual[best, 4])))
            overlap = min(overlap, float(row[best]))
    return DetectorCost(len(reference) // 2, faces, worst, overlap, lost, other_count)


def describe(cost: DetectorCost) -> str:
    return (
        f"worst confidence {cost.worst:.4f} and overlap {cost.overlap:.3f} of {cost.faces:,} faces "
        f"in {cost.frames:,} frames, {cost.lost:,} lost"
    )


def _faces(predictions: npt.NDArray[np.float32]) -> list[Floats]:
    return [found[boxes.suppress(found[:, :4])] for found in boxes.candidates(predictions, _LEAST)]


def _videos(paths: Sequence[Path]) -> list[Path]:
    videos: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                file for file in path.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES
            )
            if not inside:
                raise UsageError(f"{path}: expected videos ({', '.join(VIDEO_SUFFIXES)}) in it")
            videos += inside
        elif path.is_file():
            videos.append(path)
        else:
            raise UsageError(f"{path}: no such file or folder")
    return videos
