"""Frames to faces: decode, detect, crop, classify. One outcome per frame, whatever is in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager

import cv2
import numpy as np
import numpy.typing as npt

from contract.affect import valence_arousal
from contract.event import FaceEmotion
from contract.frame import FrameMessage
from worker.classifier import EmotionClassifier
from worker.faces.crop import crop_face
from worker.faces.detector import Detection, FaceDetector
from worker.outcome import Outcome, Rejected, Seen

Image = npt.NDArray[np.uint8]


class Analyser:
    """The whole analysis of a batch; does no I/O. Several threads may analyse at once.

    decoders   decodes JPEGs in parallel (OpenCV releases the GIL)
    observe    is told what each stage took: name, seconds
    lanes      how many threads, each with a batch of its own, keep the engine busy
    """

    def __init__(
        self,
        detector: FaceDetector,
        classifier: EmotionClassifier,
        decoders: Executor,
        observe: Callable[[str, float], None],
        *,
        lanes: int = 1,
    ) -> None:
        self.lanes = lanes
        self._detector = detector
        self._classifier = classifier
        self._decoders = decoders
        self._observe = observe

    @property
    def model_id(self) -> str:
        return self._classifier.manifest.id

    def analyse(self, frames: Sequence[FrameMessage]) -> list[Outcome]:
        """One outcome per frame, in order. The faces of all frames are classified together."""
        with self._timed("decode"):
            decoded = list(self._decoders.map(_decode, frames))
        images = [image for image in decoded if not isinstance(image, Rejected)]
        with self._timed("detect"):
            detections = self._detector.detect(images)
        with self._timed("crop"):
            crops = self._crops(images, detections)
        with self._timed("classify"):
            scores = self._classifier.scores(crops)
        faces = self._faces(detections, scores)
        return [item if isinstance(item, Rejected) else next(faces) for item in decoded]

    def check(self) -> None:
        """Run both networks on an empty picture."""
        side = self._classifier.crop_side_px
        self._detector.detect([np.zeros((side, side, 3), np.uint8)])
        self._classifier.scores(np.zeros((1, side, side), np.uint8))

    def _crops(
        self, images: Sequence[Image], detections: Sequence[Sequence[Detection]]
    ) -> npt.NDArray[np.uint8]:
        side = self._classifier.crop_side_px
        crops = [
            crop_face(image, face.box, side)
            for image, found in zip(images, detections, strict=True)
            for face in found
        ]
        return np.stack(crops) if crops else np.zeros((0, side, side), np.uint8)

    def _faces(
        self, detections: Sequence[Sequence[Detection]], scores: npt.NDArray[np.float32]
    ) -> Iterator[Seen]:
        rows = iter(scores)
        for found in detections:
            yield Seen(tuple(self._face(detection, next(rows)) for detection in found))

    def _face(self, detection: Detection, row: npt.NDArray[np.float32]) -> FaceEmotion:
        scores = self._classifier.named(row)
        valence, arousal = valence_arousal(scores)
        return FaceEmotion(
            box=detection.box,
            detection=detection.confidence,
            label=max(scores, key=lambda label: scores[label]),
            scores=scores,
            valence=valence,
            arousal=arousal,
        )

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started_s = time.perf_counter()
        yield
        self._observe(stage, time.perf_counter() - started_s)


def _decode(frame: FrameMessage) -> Image | Rejected:
    """The frame's pixels (H, W, 3) uint8 BGR; broken image data is an outcome, not an exception."""
    try:
        # Boxes are pixels of the frame as sent: an EXIF orientation must not turn it here.
        image = cv2.imdecode(
            np.frombuffer(frame.image, np.uint8),
            cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
        )
    except cv2.error as error:
        return Rejected("image", f"OpenCV cannot decode it: {error.err}")
    if image is None:
        return Rejected("image", f"{len(frame.image):,} bytes that OpenCV cannot decode as a JPEG")
    height, width = image.shape[:2]
    if (width, height) != (frame.width, frame.height):
        return Rejected(
            "image", f"expected {frame.width}x{frame.height} pixels, decoded {width}x{height}"
        )
    return np.asarray(image, np.uint8)
