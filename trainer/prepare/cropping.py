"""Records in, crops out: decode, find the face, cut it as the worker does, encode.

Threads decode and encode (the libraries let go of Python's lock) while the detector works on the
batch before; no more than two batches are ever in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

import cv2
import numpy as np

from contract.event import Box
from trainer.data.record import BoxEdges, Faces, Record, Unreadable
from trainer.pack_format import Gray, encode
from trainer.prepare.duplicates import coarse_hash, fine_hash
from trainer.prepare.photo import Bgr, Photo, upright
from worker.faces.boxes import overlaps
from worker.faces.crop import crop_face
from worker.faces.detector import Detection, FaceDetector

BATCH_SIZE = 32
MIN_FACE_PX = 16
# An annotator's box is often wider than the detector's; with less in common it is another face.
MIN_IOU = 0.2
# What is put around a close-up on each side, as a share of it: padding cured 60 of 60 close-ups
# whose box the detector had put far outside.
CLOSE_UP_MARGIN = 0.5


@dataclass(frozen=True, slots=True)
class Cropped:
    """A crop, as it goes into a pack.

    data        lossless WebP
    coarse      64-bit perceptual hash; equal or nearly so for the same photo
    fine        256-bit perceptual hash
    rotated     whether the photo's EXIF orientation was applied
    faces       how many the detector found; 0 where it wasn't asked
    confidence  the detector's, of this one
    iou         of its box with the annotated one, None without one
    """

    id: str
    data: bytes
    coarse: bytes
    fine: bytes
    rotated: bool = False
    faces: int = 0
    confidence: float = 0.0
    iou: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """An image that gave no crop, and why in a few stable words."""

    id: str
    reason: str
    rotated: bool = False


Outcome = Cropped | Refused
_Looked = tuple[Record, Photo | Refused]


class Cropper:
    """Cuts crops of `side_px`.

    faces      how the face is found
    side_px    of the crops
    exact      refuse whole images of another size instead of resizing them
    detector   finds faces; not needed for "whole"
    """

    def __init__(
        self, faces: Faces, side_px: int, *, exact: bool, detector: FaceDetector | None
    ) -> None:
        if faces != "whole" and detector is None:
            raise ValueError(f"expected a detector for faces {faces!r}")
        self._faces = faces
        self._side_px = side_px
        self._exact = exact
        self._detector = detector

    def outcomes(
        self, records: Sequence[Record], *, threads: int, stop: Event
    ) -> Iterator[list[Outcome]]:
        """One outcome a record, in order, a batch at a time; ends early when `stop` is set."""
        starts = range(0, len(records), BATCH_SIZE)
        ahead: deque[list[Future[_Looked]]] = deque()
        with ThreadPoolExecutor(threads, thread_name_prefix="prepare") as pool:
            try:
                for start in [*starts, None]:
                    if stop.is_set():
                        return
                    if start is not None:
                        batch = records[start : start + BATCH_SIZE]
                        ahead.append([pool.submit(self._look, record) for record in batch])
                    if len(ahead) > 1 or (start is None and ahead):
                        yield self._batch([future.result() for future in ahead.popleft()], pool)
            finally:
                for futures in ahead:
                    for future in futures:
                        future.cancel()

    def _look(self, record: Record) -> _Looked:
        try:
            photo = upright(record.source.read())
            if self._exact and photo.image.shape[:2] != (self._side_px, self._side_px):
                raise Unreadable(f"not {self._side_px}x{self._side_px} pixels")
            if min(photo.image.shape[:2]) < MIN_FACE_PX:
                raise Unreadable(f"smaller than {MIN_FACE_PX} pixels")
        except Unreadable as error:
            return record, Refused(record.id, str(error))
        return record, photo

    def _batch(self, looked: list[_Looked], pool: ThreadPoolExecutor) -> list[Outcome]:
        photos = [photo for _, photo in looked if isinstance(photo, Photo)]
        if self._detector is None or self._faces == "whole":
            found: list[list[Detection]] = [[] for _ in photos]
        elif self._faces == "close-up":
            found = self._detector.detect([_in_a_margin(photo.image) for photo in photos])
        else:
            found = self._detector.detect([photo.image for photo in photos])
        faces = iter(found)
        work = [
            photo
            if isinstance(photo, Refused)
            else pool.submit(self._cropped, record, photo, next(faces))
            for record, photo in looked
        ]
        return [item if isinstance(item, Refused) else item.result() for item in work]

    def _cropped(self, record: Record, photo: Photo, found: list[Detection]) -> Outcome:
        if self._faces == "whole":
            return _encoded(record.id, whole(photo.image, self._side_px), rotated=photo.rotated)
        image = photo.image
        left = top = 0
        if self._faces == "close-up":
            top, left = _margins(image)
            found = [face for face in found if _is_inside(face.box, image, top, left)]
            image = np.asarray(
                cv2.copyMakeBorder(image, top, top, left, left, cv2.BORDER_REPLICATE), np.uint8
            )
        if not found:
            return Refused(record.id, "no face found", photo.rotated)
        annotated = record.annotated_box()
        wanted = None if annotated is None else photo.scaled(annotated)
        if wanted is not None:
            wanted = wanted[0] + left, wanted[1] + top, wanted[2] + left, wanted[3] + top
        face, iou = choose(found, wanted)
        if face is None:
            return Refused(record.id, "no face found at the annotated box", photo.rotated)
        if face.box.height < MIN_FACE_PX:
            return Refused(record.id, f"a face smaller than {MIN_FACE_PX} pixels", photo.rotated)
        return _encoded(
            record.id,
            crop_face(image, face.box, self._side_px),
            rotated=photo.rotated,
            faces=len(found),
            confidence=face.confidence,
            iou=iou,
        )


def choose(
    found: Sequence[Detection], wanted: BoxEdges | None
) -> tuple[Detection | None, float | None]:
    """The face that is meant and its IoU with the annotated box: the one with the highest, if it
    is high enough. Without an annotated box the largest: a photo is of whom it shows best.
    """
    if wanted is None:
        return max(found, key=lambda face: face.box.width * face.box.height), None
    boxes = np.array([_edges(face.box) for face in found], np.float64)
    shared = overlaps(boxes, np.array([wanted], np.float64))[:, 0]
    best = int(shared.argmax())
    iou = float(shared[best])
    return (found[best], iou) if iou >= MIN_IOU else (None, iou)


def whole(image: Bgr, side_px: int) -> Gray:
    """A picture that is a crop already: gray, its shorter side filled up by repeated edge pixels,
    `side_px` wide and high.
    """
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    height, width = gray.shape
    over = max(height, width)
    top, left = (over - height) // 2, (over - width) // 2
    if height != width:
        gray = cv2.copyMakeBorder(
            gray, top, over - height - top, left, over - width - left, cv2.BORDER_REPLICATE
        )
    if over != side_px:
        how = cv2.INTER_AREA if over > side_px else cv2.INTER_LINEAR
        gray = cv2.resize(gray, (side_px, side_px), interpolation=how)
    return np.asarray(gray, np.uint8)


def _encoded(
    name: str,
    crop: Gray,
    *,
    rotated: bool,
    faces: int = 0,
    confidence: float = 0.0,
    iou: float | None = None,
) -> Cropped:
    hashes = coarse_hash(crop), fine_hash(crop)
    return Cropped(name, encode(crop), *hashes, rotated, faces, confidence, iou)


def _margins(image: Bgr) -> tuple[int, int]:
    height, width = image.shape[:2]
    return round(height * CLOSE_UP_MARGIN), round(width * CLOSE_UP_MARGIN)


def _in_a_margin(image: Bgr) -> Bgr:
    # In the mean colour: repeated edges look like more of the face to the detector.
    top, left = _margins(image)
    colour = image.mean(axis=(0, 1)).tolist()
    padded = cv2.copyMakeBorder(image, top, top, left, left, cv2.BORDER_CONSTANT, value=colour)
    return np.asarray(padded, np.uint8)


def _is_inside(box: Box, image: Bgr, top: int, left: int) -> bool:
    """Whether a box in the padded picture has half of its area in `image`: the worker, too, takes
    no box that lies mostly outside.
    """
    height, width = image.shape[:2]
    across = min(box.right, left + width) - max(box.left, left)
    down = min(box.bottom, top + height) - max(box.top, top)
    inside: int = max(0, across) * max(0, down)
    return 2 * inside >= box.width * box.height


def _edges(box: Box) -> BoxEdges:
    return box.left, box.top, box.right, box.bottom
