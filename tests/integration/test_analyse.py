"""The whole analysis with the real networks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from contract.frame import FrameMessage
from tests.benchmarks.detect_every import overlap
from tests.unit.strategies import jpeg
from worker.analyse import Analyser
from worker.assemble import build_analyser
from worker.faces.crop import crop_face
from worker.faces.detector import Detection
from worker.outcome import Rejected, Seen
from worker.settings import WorkerSettings


@pytest.fixture(scope="module")
def analyser() -> Iterator[Analyser]:
    with ThreadPoolExecutor(2) as decoders:
        built, _ = build_analyser(WorkerSettings(), decoders, _ignore)
        yield built


def _ignore(_stage: str, _seconds: float) -> None:
    """Nobody measures here."""


def frame(seq: int, image: bytes, width: int, height: int) -> FrameMessage:
    return FrameMessage("clip", "s", seq, time.time_ns(), None, width, height, image)


@pytest.fixture(scope="module")
def clip(demo_clip: Path) -> list[FrameMessage]:
    """The shipped clip."""
    messages = []
    with av.open(str(demo_clip)) as container:
        for index, picture in enumerate(container.decode(video=0)):
            ok, data = cv2.imencode(".jpg", picture.to_ndarray(format="bgr24"))
            assert ok
            messages.append(frame(index, data.tobytes(), picture.width, picture.height))
    return messages


@pytest.fixture(scope="module")
def frames(clip: list[FrameMessage]) -> list[FrameMessage]:
    """Every third frame of it."""
    return clip[::3]


def test_an_event_is_the_same_whatever_batch_it_was_in(
    analyser: Analyser, frames: list[FrameMessage]
) -> None:
    alone = [analyser.analyse([frame])[0] for frame in frames]
    assert sum(len(seen.faces) for seen in alone if isinstance(seen, Seen)) > len(frames) / 2
    for size in (7, 32):
        together = [
            outcome
            for at in range(0, len(frames), size)
            for outcome in analyser.analyse(frames[at : at + size])
        ]
        for one, many in zip(alone, together, strict=True):
            assert isinstance(one, Seen)
            assert isinstance(many, Seen)
            assert [face.box for face in one.faces] == [face.box for face in many.faces]
            assert [face.label for face in one.faces] == [face.label for face in many.faces]
            for a, b in zip(one.faces, many.faces, strict=True):
                assert list(a.scores.values()) == pytest.approx(list(b.scores.values()), abs=1e-4)
                assert a.detection == pytest.approx(b.detection, abs=1e-4)


def test_an_ordinary_frame_is_analysed_pixel_by_pixel_as_it_was_sent(
    analyser: Analyser, frames: list[FrameMessage]
) -> None:
    some = frames[::8]
    images = [cv2.imdecode(np.frombuffer(each.image, np.uint8), cv2.IMREAD_COLOR) for each in some]
    found = analyser._detector.detect(images)
    crops = [
        crop_face(image, face.box)
        for image, faces in zip(images, found, strict=True)
        for face in faces
    ]
    scores = iter(analyser._classifier.scores(np.stack(crops)))
    for outcome, faces in zip(analyser.analyse(some), found, strict=True):
        assert isinstance(outcome, Seen)
        assert [(face.box, face.detection) for face in outcome.faces] == [
            (face.box, face.confidence) for face in faces
        ]
        for face in outcome.faces:
            assert list(face.scores.values()) == next(scores).tolist()


@pytest.mark.parametrize("height", [1440, 2160])
def test_large_frames_give_the_faces_of_a_full_decode(
    analyser: Analyser, frames: list[FrameMessage], height: int
) -> None:
    for message in (frames[10], frames[25], frames[35], frames[60]):
        image = cv2.imdecode(np.frombuffer(message.image, np.uint8), cv2.IMREAD_COLOR)
        width = height * image.shape[1] // image.shape[0]
        large = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        ok, data = cv2.imencode(".jpg", large)
        assert ok
        (seen,) = analyser.analyse([frame(0, data.tobytes(), width, height)])
        assert isinstance(seen, Seen)
        whole = cv2.imdecode(data, cv2.IMREAD_COLOR)
        (expected,) = analyser._detector.detect([whole])
        assert len(seen.faces) == len(expected) > 0
        # From left to right: two that are as certain may come in either order.
        expected = sorted(expected, key=lambda face: face.box.left)
        crops = np.stack([crop_face(whole, face.box) for face in expected])
        for face, reference, scores in zip(
            sorted(seen.faces, key=lambda face: face.box.left),
            expected,
            analyser._classifier.scores(crops),
            strict=True,
        ):
            corners = np.subtract(astuple(face.box), astuple(reference.box))
            assert np.abs(corners).max() <= 0.02 * height
            assert face.detection == pytest.approx(reference.confidence, abs=0.05)
            assert face.label == analyser._classifier.manifest.labels[scores.argmax()]


def test_faces_followed_between_detections_are_where_the_detector_sees_them(
    analyser: Analyser, clip: list[FrameMessage]
) -> None:
    asked: list[int] = []

    class Counting:
        def detect(self, images: list[np.ndarray]) -> list[list[Detection]]:
            asked.append(len(images))
            return analyser._detector.detect(images)

    following = Analyser(Counting(), analyser._classifier, None, _ignore, detect_every=3)
    part = clip[20:44]  # one person
    same = compared = 0
    for at in range(0, len(part), 8):
        batch = part[at : at + 8]
        for one, other in zip(analyser.analyse(batch), following.analyse(batch), strict=True):
            assert isinstance(one, Seen)
            assert isinstance(other, Seen)
            assert len(one.faces) == len(other.faces) > 0
            for a, b in zip(one.faces, other.faces, strict=True):
                assert overlap(a.box, b.box) > 0.7
                same += a.label == b.label
                compared += 1
    assert same / compared > 0.9
    assert sum(asked) <= len(part) / 2


def test_what_a_face_carries(analyser: Analyser, frames: list[FrameMessage]) -> None:
    for outcome in analyser.analyse(frames):
        assert isinstance(outcome, Seen)
        for face in outcome.faces:
            assert sum(face.scores.values()) == pytest.approx(1.0, abs=1e-5)
            assert face.scores[face.label] == max(face.scores.values())
            assert 0.5 <= face.detection <= 1.0
            assert 0 <= face.box.left < face.box.right <= frames[0].width
            assert 0 <= face.box.top < face.box.bottom <= frames[0].height
            assert -1.0 <= face.valence <= 1.0


def test_a_broken_image_is_one_outcome_and_the_others_are_untouched(
    analyser: Analyser, frames: list[FrameMessage]
) -> None:
    good = frames[10]
    cut = frame(0, good.image[:200], good.width, good.height)
    noise = frame(1, b"\xff\xd8" + np.random.default_rng(0).bytes(5000), 640, 480)
    tiny = frame(2, jpeg(1, 1), 1, 1)
    outcomes = analyser.analyse([cut, good, noise, tiny, good])
    assert isinstance(outcomes[0], Rejected)
    assert isinstance(outcomes[2], Rejected)
    assert outcomes[2].reason == "image"
    assert outcomes[3] == Seen(())
    (alone,) = analyser.analyse([good])
    for outcome in (outcomes[1], outcomes[4], alone):
        assert isinstance(outcome, Seen)
        assert [face.label for face in outcome.faces] == ["happiness"]


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_boxes_fit_the_frame_as_sent_whatever_its_exif_says(
    analyser: Analyser, frames: list[FrameMessage], orientation: int
) -> None:
    good = frames[10]
    # TIFF, big-endian, one entry: tag 0x0112 (orientation), type SHORT, count 1.
    tiff = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01"
    body = b"Exif\x00\x00" + tiff + bytes([0, orientation, 0, 0, 0, 0, 0, 0])
    segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    turned = frame(0, good.image[:2] + segment + good.image[2:], good.width, good.height)
    plain, tagged = analyser.analyse([good, turned])
    assert isinstance(plain, Seen)
    assert isinstance(tagged, Seen)
    assert [face.box for face in tagged.faces] == [face.box for face in plain.faces]


def test_a_working_device_passes_its_check(analyser: Analyser) -> None:
    analyser.check()


def test_no_frames_are_no_outcomes(analyser: Analyser) -> None:
    assert analyser.analyse([]) == []
