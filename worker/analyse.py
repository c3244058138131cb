"""Frames to faces: decode, detect, crop, classify. One outcome per frame, whatever is in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from contract.affect import valence_arousal
from contract.event import FaceEmotion
from contract.frame import FrameMessage
from worker.classifier import EmotionClassifier
from worker.decode import Picture, crop_faces, decode
from worker.faces.detector import Detection, FaceDetector
from worker.faces.sharpness import sharpness
from worker.follow import Follower
from worker.outcome import Outcome, Rejected, Seen


class Analyser:
    """The whole analysis of a batch; does no I/O. Several threads may call it at once.

    decoders      decodes JPEGs in parallel (OpenCV releases the GIL); None: the calling thread does
    observe       is told what each stage took: name, seconds
    batch_size    and `lanes`: what the loop asks for, see `FrameAnalyser`
    detect_every  the detector sees one frame of a source in so many; faces are followed between
    """

    def __init__(
        self,
        detector: FaceDetector,
        classifier: EmotionClassifier,
        decoders: Executor | None,
        observe: Callable[[str, float], None],
        *,
        batch_size: int = 8,
        lanes: int = 1,
        detect_every: int = 1,
    ) -> None:
        self._detector = detector
        self._classifier = classifier
        self._map = map if decoders is None else decoders.map
        self._observe = observe
        self.batch_size = batch_size
        self.lanes = lanes
        self._follower = Follower(self._detected, detect_every)

    @property
    def model_id(self) -> str:
        return self._classifier.manifest.id

    def analyse(self, frames: Sequence[FrameMessage]) -> list[Outcome]:
        """One outcome per frame, in order. The faces of all frames are classified together."""
        with self._timed("decode"):
            decoded = list(self._map(decode, frames))
        pictures = [item for item in decoded if not isinstance(item, Rejected)]
        with self._timed("detect"):
            detections = self._follower.find(pictures)
        with self._timed("crop"):
            crops = self._crops(pictures, detections)
        with self._timed("classify"):
            scores = self._classifier.scores(crops)
        faces = self._faces(detections, scores, crops)
        return [item if isinstance(item, Rejected) else next(faces) for item in decoded]

    def check(self) -> None:
        """Run both networks on an empty picture."""
        side = self._classifier.crop_side_px
        self._detector.detect([np.zeros((side, side, 3), np.uint8)])
        self._classifier.scores(np.zeros((1, side, side), np.uint8))

    def _detected(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        found = self._detector.detect([picture.pixels for picture in pictures])
        return [
            [Detection(picture.to_frame(face.box), face.confidence) for face in faces]
            for picture, faces in zip(pictures, found, strict=True)
        ]

    def _crops(
        self, pictures: Sequence[Picture], detections: Sequence[Sequence[Detection]]
    ) -> npt.NDArray[np.uint8]:
        side = self._classifier.crop_side_px
        crops = [
            crop
            for picture, faces in zip(pictures, detections, strict=True)
            for crop in crop_faces(picture, [face.box for face in faces], side)
        ]
        return np.stack(crops) if crops else np.zeros((0, side, side), np.uint8)

    def _faces(
        self,
        detections: Sequence[Sequence[Detection]],
        scores: npt.NDArray[np.float32],
        crops: npt.NDArray[np.uint8],
    ) -> Iterator[Seen]:
        rows = zip(scores, crops, strict=True)
        for found in detections:
            yield Seen(tuple(self._face(detection, *next(rows)) for detection in found))

    def _face(
        self, detection: Detection, row: npt.NDArray[np.float32], crop: npt.NDArray[np.uint8]
    ) -> FaceEmotion:
        scores = self._classifier.named(row)
        valence, arousal = valence_arousal(scores)
        return FaceEmotion(
            box=detection.box,
            detection=detection.confidence,
            label=max(scores, key=lambda label: scores[label]),
            scores=scores,
            valence=valence,
            arousal=arousal,
            sharpness=sharpness(crop),
        )

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started_s = time.perf_counter()
        yield
        self._observe(stage, time.perf_counter() - started_s)
