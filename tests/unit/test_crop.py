"""The crop: which pixels it takes, and what it refuses."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from contract.event import Box
from worker.faces.crop import CROP_SIDE, crop_face


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)


def test_crop_is_a_small_gray_square(image: np.ndarray) -> None:
    crop = crop_face(image, Box(10, 20, 70, 120))

    assert crop.shape == (CROP_SIDE, CROP_SIDE) == (96, 96)
    assert crop.dtype == np.uint8


def test_square_has_095_of_the_height_around_the_centre(image: np.ndarray) -> None:
    # 200 high: the side is 190, from the centre (200, 150) that is 105..295 and 55..245.
    crop = crop_face(image, Box(150, 50, 250, 250))

    square = cv2.cvtColor(image[55:245, 105:295], cv2.COLOR_BGR2GRAY)
    expected = cv2.resize(square, (96, 96), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(crop, expected)


def test_width_of_the_box_does_not_matter(image: np.ndarray) -> None:
    narrow, wide = Box(190, 50, 210, 250), Box(120, 50, 280, 250)

    np.testing.assert_array_equal(crop_face(image, narrow), crop_face(image, wide))


@pytest.mark.parametrize(
    "box", [Box(0, 0, 40, 100), Box(360, 200, 400, 300), Box(0, 200, 10, 300), Box(0, 0, 400, 300)]
)
def test_edge_pixels_repeat_outside_the_frame(image: np.ndarray, box: Box) -> None:
    margin = 400
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    moved = Box(box.left + margin, box.top + margin, box.right + margin, box.bottom + margin)

    np.testing.assert_array_equal(crop_face(image, box), crop_face(padded, moved))


def test_a_large_face_is_averaged_when_shrunk() -> None:
    stripes = np.zeros((960, 960, 3), np.uint8)
    stripes[:, ::2] = 200

    crop = crop_face(stripes, Box(0, 0, 960, 960))

    assert np.ptp(crop[2:-2, 2:-2]) <= 25  # nearest or bilinear would give 0 and 200
    assert abs(int(crop[48, 48]) - 100) <= 13


def test_one_pixel_is_a_crop(image: np.ndarray) -> None:
    crop = crop_face(image, Box(5, 5, 6, 6))

    assert (crop == crop[0, 0]).all()


def test_a_gray_image_is_cropped_like_a_coloured_one(image: np.ndarray) -> None:
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    for box in (Box(150, 50, 250, 250), Box(0, 200, 10, 300)):
        np.testing.assert_array_equal(crop_face(gray, box), crop_face(image, box))


def test_another_side(image: np.ndarray) -> None:
    assert crop_face(image, Box(10, 20, 70, 120), 48).shape == (48, 48)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((10, 10), np.float32),
        ((0, 9), np.uint8),
        ((10, 10, 4), np.uint8),
        ((10, 10, 3), np.float32),
        ((0, 9, 3), np.uint8),
    ],
)
def test_other_images_are_refused(shape: tuple[int, ...], dtype: type) -> None:
    with pytest.raises(ValueError, match=r"expected an image \(H, W, 3\) uint8 BGR .*, got \("):
        crop_face(np.zeros(shape, dtype), Box(0, 0, 5, 5))


@pytest.mark.parametrize(
    "box",
    [Box(5, 5, 5, 9), Box(9, 5, 5, 9), Box(-1, 0, 5, 5), Box(0, 0, 401, 5), Box(0, 0, 5, 301)],
)
def test_boxes_not_in_the_image_are_refused(image: np.ndarray, box: Box) -> None:
    with pytest.raises(ValueError, match="expected a box inside 400x300 pixels, got Box"):
        crop_face(image, box)
