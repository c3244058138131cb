"""One face from picture to picture: how near the box stays, and when it is not sure."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from worker.faces.track import Track


def face(side: int, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def picture(left: int, top: int, side: int = 100, seed: int = 1) -> np.ndarray:
    """A plain 640x480 picture with one textured square, cut off where it leaves."""
    canvas = np.full((480 + 2 * side, 640 + 2 * side, 3), 128, np.uint8)
    canvas[top + side : top + 2 * side, left + side : left + 2 * side] = face(side, seed)
    return canvas[side:-side, side:-side]


def track(left: int, top: int, side: int = 100) -> Track:
    box = (float(left), float(top), float(left + side), float(top + side))
    return Track.start(picture(left, top, side), box, 0.9)


@pytest.mark.parametrize("side", [24, 100, 300])
def test_the_box_moves_with_the_face(side: int) -> None:
    found: Track | None = track(150, 100, side)
    steps = [(0, 0), (side // 8, -side // 10), (side // 4, side // 6), (side // 4 + 1, side // 6)]
    for right, down in steps:
        assert found is not None
        found = found.follow(picture(150 + right, 100 + down, side))
        assert found is not None
        left, top = found.box[:2]
        assert left == pytest.approx(150 + right, abs=side / 50)
        assert top == pytest.approx(100 + down, abs=side / 50)
        assert found.box[2] - left == pytest.approx(side)
        assert found.confidence == 0.9


def test_another_face_in_its_place_is_not_it() -> None:
    assert track(200, 150).follow(picture(200, 150, seed=2)) is None


def test_a_face_that_is_gone_is_not_found() -> None:
    assert track(200, 150).follow(np.full((480, 640, 3), 128, np.uint8)) is None


def test_a_face_that_jumps_away_is_not_found() -> None:
    assert track(200, 150).follow(picture(420, 150)) is None


def test_a_face_that_leaves_the_picture_is_let_go() -> None:
    found: Track | None = track(520, 200)
    lefts = iter(range(530, 640, 10))
    while found is not None:
        inside = (640 - found.box[0]) / 100
        assert inside >= 0.8
        found = found.follow(picture(next(lefts), 200))


def test_a_flat_box_is_never_sure() -> None:
    flat = np.full((480, 640, 3), 50, np.uint8)
    assert Track.start(flat, (100.0, 100.0, 200.0, 200.0), 0.9).follow(flat) is None


@pytest.mark.parametrize(
    "box", [(0, 0, 640, 480), (0, 0, 1, 1), (639, 479, 640, 480), (0, 0, 640, 1)]
)
def test_any_box_in_the_picture_can_be_started_and_followed(box: tuple[int, ...]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    left, top, right, bottom = map(float, box)
    found = Track.start(noise, (left, top, right, bottom), 0.9).follow(noise)
    assert found is None or found.box == pytest.approx(box, abs=1)
