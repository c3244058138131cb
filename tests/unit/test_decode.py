"""JPEGs to pixels: how coarse, which pixels, and what is refused."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from contract.event import Box
from contract.frame import FrameMessage
from worker.decode import Picture, coarsest, crop_faces, decode, decode_at
from worker.faces.crop import crop_face
from worker.outcome import Rejected


def smooth(width: int, height: int) -> np.ndarray:
    """A picture without fine detail, so that it is nearly the same at every scale."""
    noise = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def frame(image: np.ndarray) -> FrameMessage:
    ok, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert ok
    height, width = image.shape[:2]
    return FrameMessage("s", "t", 0, 0, None, width, height, data.tobytes())


def picture(message: FrameMessage, scale: int | None = None) -> Picture:
    found = decode(message) if scale is None else decode_at(message, scale)
    assert isinstance(found, Picture)
    return found


@pytest.mark.parametrize(
    ("width", "height", "scale"),
    [
        (640, 480, 1), (1280, 720, 1), (1920, 1080, 1), (3000, 1199, 1), (1200, 1200, 2),
        (2560, 1440, 2), (1440, 2560, 2), (3840, 2160, 4), (7680, 3600, 8), (1, 1, 1),
    ],
)  # fmt: skip
def test_a_frame_is_as_coarse_as_the_detector_allows(width: int, height: int, scale: int) -> None:
    found = picture(frame(np.zeros((height, width, 3), np.uint8)))

    assert found.scale == scale
    assert found.pixels.shape == (-(-height // scale), -(-width // scale), 3)


def test_an_ordinary_frame_has_exactly_opencvs_pixels() -> None:
    message = frame(smooth(640, 480))

    expected = cv2.imdecode(np.frombuffer(message.image, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(picture(message).pixels, expected)


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize(("width", "height"), [(1200, 960), (1201, 963), (1207, 959)])
def test_a_pixel_of_a_coarse_picture_is_scale_times_scale_of_the_frame(
    width: int, height: int, scale: int
) -> None:
    image = smooth(width, height)

    coarse = picture(frame(image), scale)

    whole = cv2.copyMakeBorder(
        image, 0, -height % scale, 0, -width % scale, cv2.BORDER_REPLICATE
    )  # fmt: skip
    blocks = whole.reshape(whole.shape[0] // scale, scale, -1, scale, 3)
    difference = np.abs(coarse.pixels - blocks.mean(axis=(1, 3)))
    assert difference.mean() < 1.5
    assert difference.max() < 16


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_boxes_are_pixels_of_the_frame_whatever_the_scale(scale: int) -> None:
    width, height = 1201, 963
    rows, columns = -(-height // scale), -(-width // scale)
    message = FrameMessage("s", "t", 0, 0, None, width, height, b"")
    coarse = Picture(message, np.zeros((rows, columns, 3), np.uint8), scale)

    assert coarse.to_frame(Box(0, 0, columns, rows)) == Box(0, 0, width, height)
    small = Box(30, 40, 60, 90)
    there = coarse.to_frame(small)
    assert coarse.from_frame(there) == small
    for pixel, at in zip(dataclasses.astuple(there), dataclasses.astuple(small), strict=True):
        assert at * scale <= pixel < (at + 1) * scale
    last = coarse.to_frame(Box(columns - 1, rows - 1, columns, rows))
    assert (last.right, last.bottom) == (width, height)
    assert last.left < width
    assert last.top < height
    tiny = coarse.from_frame(Box(width - 1, height - 1, width, height))
    assert (tiny.right, tiny.bottom, tiny.width, tiny.height) == (columns, rows, 1, 1)


def test_a_face_with_too_few_pixels_is_cut_from_a_finer_picture() -> None:
    image = smooth(3840, 2160)
    message = frame(image)
    coarse = picture(message)
    boxes = [Box(100, 100, 200, 200), Box(800, 200, 1600, 1400), Box(2000, 900, 2300, 1260)]

    crops = crop_faces(coarse, boxes, 96)

    full = picture(message, 1)
    for crop, box in zip(crops, boxes, strict=True):
        expected = crop_face(full.pixels, box)
        assert np.abs(crop.astype(int) - expected).mean() < 2
    assert not np.array_equal(crops[0], crop_face(coarse.pixels, coarse.from_frame(boxes[0])))
    np.testing.assert_array_equal(crops[1], crop_face(coarse.pixels, coarse.from_frame(boxes[1])))


def test_no_faces_need_no_picture() -> None:
    message = frame(smooth(1920, 1080))
    assert crop_faces(picture(message), [], 96) == []


@pytest.mark.parametrize(
    ("length", "least", "scale"),
    [(300, 300, 1), (599, 300, 1), (600, 300, 2), (2400, 300, 8), (9999, 300, 8), (10, 300, 1)],
)
def test_the_coarsest_scale_keeps_the_least(length: int, least: int, scale: int) -> None:
    assert coarsest(length, least) == scale


@pytest.mark.parametrize("size", [(640, 480), (2560, 1440)])
def test_what_is_not_the_picture_it_should_be_is_rejected(size: tuple[int, int]) -> None:
    good = frame(smooth(*size))
    width, height = size
    for wrong, detail in (
        (dataclasses.replace(good, width=width - 2), f"expected {width - 2}x{height} pixels"),
        (dataclasses.replace(good, height=height + 2), f"expected {width}x{height + 2} pixels"),
        (dataclasses.replace(good, image=good.image[:200]), ""),
        (dataclasses.replace(good, image=b"no picture"), ""),
    ):
        rejected = decode(wrong)
        assert isinstance(rejected, Rejected)
        assert rejected.reason == "image"
        assert detail in rejected.detail
