"""Shrinking and encoding."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.errors import EncodeError
from contract.jpeg import jpeg_size
from producer.encode import encode_jpeg
from producer.video import Image


def gradient(width: int, height: int) -> Image:
    row = np.linspace(0, 255, width, dtype=np.uint8)
    return np.repeat(np.repeat(row[None, :, None], height, 0), 3, 2)


def test_a_narrow_picture_keeps_its_size_and_its_look() -> None:
    image = gradient(321, 123)
    jpeg = encode_jpeg(image, max_width=1280, quality=90)
    assert (jpeg.width, jpeg.height) == (321, 123)
    decoded = cv2.imdecode(np.frombuffer(jpeg.data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert np.abs(decoded.astype(int) - image).max() < 12


def test_a_wide_picture_is_shrunk_in_proportion() -> None:
    jpeg = encode_jpeg(gradient(1920, 1081), max_width=640, quality=90)
    assert (jpeg.width, jpeg.height) == (640, 360)
    assert jpeg_size(jpeg.data) == (640, 360)


def test_quality_costs_bytes() -> None:
    noise = np.random.default_rng(7).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    small, large = (encode_jpeg(noise, max_width=160, quality=q) for q in (30, 95))
    assert len(small.data) < len(large.data) / 2


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(16, 300))
def test_the_size_said_is_the_size_in_the_header(width: int, height: int, limit: int) -> None:
    jpeg = encode_jpeg(np.zeros((height, width, 3), np.uint8), max_width=limit, quality=80)
    assert jpeg_size(jpeg.data) == (jpeg.width, jpeg.height)
    assert jpeg.width == min(width, limit)
    assert jpeg.height >= 1


@pytest.mark.parametrize(("width", "height"), [(8, 20_000), (8000, 6000)])
def test_a_picture_that_workers_would_refuse_is_refused_here(width: int, height: int) -> None:
    with pytest.raises(EncodeError, match=f"{width}x{height}"):
        encode_jpeg(np.zeros((height, width, 3), np.uint8), max_width=16_384, quality=80)


def test_a_picture_of_another_shape_is_refused() -> None:
    with pytest.raises(EncodeError, match="10x10"):
        encode_jpeg(np.zeros((10, 10, 2), np.uint8), max_width=100, quality=80)
