"""Which frames are detected, which are followed, and what is remembered in between."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from contract.event import Box
from contract.frame import FrameMessage
from tests.unit.test_track import face
from worker.decode import Picture
from worker.faces.detector import Detection
from worker.follow import Follower

SIDE = 80


class Truth:
    """Draws pictures with textured squares in known places, and detects by looking that up."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self._places: dict[str, list[tuple[int, int, int]]] = {}

    def picture(
        self,
        seq: int,
        places: Sequence[tuple[int, int, int]] = (),
        *,
        source: str = "cam",
        session: str = "s",
        fps: float = 25,
        height: int = 480,
        shade: int = 128,
        scale: int = 1,
    ) -> Picture:
        """`places` are left, top and seed of each square, in pixels of the picture."""
        pixels = np.full((height, 640, 3), shade, np.uint8)
        for left, top, seed in places:
            pixels[top : top + SIDE, left : left + SIDE] = face(SIDE, seed)
        frame = FrameMessage(
            source, session, seq, int(seq / fps * 1e9), None, 640 * scale, height * scale, b""
        )
        self._places[frame.id] = list(places)
        return Picture(frame, pixels, scale)

    def detect(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        self.calls.append([picture.frame.seq for picture in pictures])
        return [
            [
                Detection(
                    Box(*(side * picture.scale for side in (x, y, x + SIDE, y + SIDE))),
                    0.9 - seed / 100,
                )
                for x, y, seed in self._places[picture.frame.id]
            ]
            for picture in pictures
        ]

    def is_found(self, picture: Picture, found: Sequence[Detection]) -> bool:
        expected = self._places[picture.frame.id]
        return len(found) == len(expected) and all(
            abs(detection.box.left / picture.scale - left) <= 2
            and abs(detection.box.top / picture.scale - top) <= 2
            and detection.confidence == pytest.approx(0.9 - seed / 100)
            for detection, (left, top, seed) in zip(found, expected, strict=True)
        )


@pytest.fixture
def truth() -> Truth:
    return Truth()


def walk(truth: Truth, seqs: Sequence[int], *, source: str = "cam", seed: int = 1) -> list[Picture]:
    """Somebody who goes five pixels to the right in each frame."""
    return [truth.picture(seq, [(100 + 5 * seq, 200, seed)], source=source) for seq in seqs]


def test_with_one_every_frame_is_detected(truth: Truth) -> None:
    follower = Follower(truth.detect, 1)
    follower.find(walk(truth, range(4)))
    follower.find(walk(truth, range(4, 6)))
    assert truth.calls == [[0, 1, 2, 3], [4, 5]]


@pytest.mark.parametrize("batch", [1, 2, 5, 16])
@pytest.mark.parametrize("scale", [1, 4])
def test_every_third_is_detected_and_the_others_are_followed(
    truth: Truth, batch: int, scale: int
) -> None:
    follower = Follower(truth.detect, 3)
    pictures = [truth.picture(seq, [(100 + 5 * seq, 200, 1)], scale=scale) for seq in range(16)]
    for at in range(0, 16, batch):
        part = pictures[at : at + batch]
        found = follower.find(part)
        assert all(truth.is_found(*pair) for pair in zip(part, found, strict=True))
    assert sorted(seq for call in truth.calls for seq in call) == [0, 3, 6, 9, 12, 15]
    assert len(truth.calls) <= -(-16 // batch)


def test_what_is_due_goes_through_the_detector_together(truth: Truth) -> None:
    one, two = walk(truth, range(8), source="one"), walk(truth, range(8), source="two", seed=2)
    mixed = [picture for pair in zip(reversed(one), two, strict=True) for picture in pair]
    found = Follower(truth.detect, 4).find(mixed)
    assert [sorted(call) for call in truth.calls] == [[0, 0, 4, 4]]
    assert all(truth.is_found(*pair) for pair in zip(mixed, found, strict=True))


def test_somebody_new_is_seen_with_the_next_detection(truth: Truth) -> None:
    pictures = [
        truth.picture(seq, [(100, 200, 1)] + ([(400, 100, 2)] if seq >= 2 else []))
        for seq in range(6)
    ]
    found = Follower(truth.detect, 4).find(pictures)
    assert [len(faces) for faces in found] == [1, 1, 1, 1, 2, 2]


def test_nobody_is_followed_as_nobody(truth: Truth) -> None:
    found = Follower(truth.detect, 4).find([truth.picture(seq) for seq in range(4)])
    assert found == [[], [], [], []]
    assert truth.calls == [[0]]


def test_a_lost_face_is_detected_at_once_and_followed_from_there(truth: Truth) -> None:
    places = [100, 105, 400, 405, 410, 415]
    pictures = [truth.picture(seq, [(left, 200, 1)]) for seq, left in enumerate(places)]
    found = Follower(truth.detect, 6).find(pictures)
    assert truth.calls == [[0], [2]]
    assert all(truth.is_found(*pair) for pair in zip(pictures, found, strict=True))


def test_a_cut_is_detected_though_nobody_was_there(truth: Truth) -> None:
    pictures = [truth.picture(0), truth.picture(1), truth.picture(2, [(9, 9, 1)], shade=30)]
    found = Follower(truth.detect, 10).find(pictures)
    assert truth.calls == [[0], [2]]
    assert [len(faces) for faces in found] == [0, 0, 1]


def test_two_tracks_on_one_face_are_detected(truth: Truth) -> None:
    # The left one stays, the right one comes nearer until the boxes would be one face's.
    pictures = [truth.picture(seq, [(100, 200, 1), (175 - 15 * seq, 200, 2)]) for seq in range(5)]
    Follower(truth.detect, 10).find(pictures)
    assert len(truth.calls) > 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"seq": 5}, {"seq": 5}),
        ({"seq": 5}, {"seq": 4}),
        ({"seq": 5}, {"seq": 10}),
        ({"seq": 5}, {"seq": 6, "session": "t"}),
        ({"seq": 5}, {"seq": 6, "source": "another"}),
        ({"seq": 5, "fps": 0.9}, {"seq": 6, "fps": 0.9}),
        ({"seq": 5}, {"seq": 6, "height": 400}),
    ],
    ids=["repeat", "older", "far", "session", "source", "late", "size"],
)
def test_a_frame_that_does_not_follow_the_last_is_detected(
    truth: Truth, first: dict[str, int], second: dict[str, int]
) -> None:
    follower = Follower(truth.detect, 5)
    follower.find([truth.picture(**first)])
    follower.find([truth.picture(**second)])
    assert truth.calls == [[first["seq"]], [second["seq"]]]


def test_gaps_count_as_frames(truth: Truth) -> None:
    Follower(truth.detect, 4).find(walk(truth, [0, 2, 3, 5, 7, 9]))
    assert truth.calls == [[0, 5, 9]]


def test_an_older_batch_does_not_undo_a_newer_one(truth: Truth) -> None:
    follower = Follower(truth.detect, 4)
    follower.find(walk(truth, [8, 9]))
    follower.find(walk(truth, [4, 5]))
    follower.find(walk(truth, [10]))
    assert truth.calls == [[8], [4]]


def test_a_crowd_is_detected_in_every_frame(truth: Truth) -> None:
    crowd = [(left, top, 1) for left in range(0, 560, 90) for top in (0, 120, 240)]
    found = Follower(truth.detect, 4).find([truth.picture(seq, crowd) for seq in range(2)])
    assert truth.calls == [[0], [1]]
    assert [len(faces) for faces in found] == [len(crowd)] * 2


def test_sources_that_went_away_are_forgotten(truth: Truth) -> None:
    now_s = 0.0
    follower = Follower(truth.detect, 4, clock=lambda: now_s)
    for number in range(1_100):
        follower.find([truth.picture(0, source=f"cam-{number}", height=10)])
    assert len(follower._last) == 1_024
    now_s = 11.0
    follower.find([truth.picture(0, source="the last", height=10)])
    assert len(follower._last) == 1


def test_threads_share_what_they_know(truth: Truth) -> None:
    follower = Follower(truth.detect, 5)
    batches = [walk(truth, range(at, at + 4)) for at in range(0, 64, 4)]
    wrong: list[int] = []
    order = iter(batches)
    lock = threading.Lock()

    def lane() -> None:
        while True:
            with lock:
                batch = next(order, None)
            if batch is None:
                return
            for picture, found in zip(batch, follower.find(batch), strict=True):
                if not truth.is_found(picture, found):
                    wrong.append(picture.frame.seq)

    threads = [threading.Thread(target=lane) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert sum(map(len, truth.calls)) < 64


def test_no_pictures_are_no_faces(truth: Truth) -> None:
    assert Follower(truth.detect, 3).find([]) == []


def test_less_than_every_frame_is_refused(truth: Truth) -> None:
    with pytest.raises(ValueError, match="got 0"):
        Follower(truth.detect, 0)
