"""Cuts a face out of a frame, the same way for training and in service."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.event import Box

CROP_SIDE = 96
# 0.9 to 1.0 of the box's height did best on 1,488 class-balanced photographs cropped by this
# detector: macro recall 0.50, against 0.47 for the box stretched to a square.
SIDE_OF_HEIGHT = 0.95


def crop_face(image: NDArray[np.uint8], box: Box, side_px: int = CROP_SIDE) -> NDArray[np.uint8]:
    """Return the face in `box` of an ``(H, W, 3)`` uint8 BGR image: ``(side_px, side_px)`` gray.

    The square around the box's centre whose side is 0.95 of the box's height; edge pixels are
    repeated where it leaves the image. Raises `ValueError` for another image, and for a box that
    is empty or not inside the image.
    """
    require_bgr(image)
    height, width = image.shape[:2]
    if not (0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height):
        raise ValueError(f"expected a box inside {width}x{height} pixels, got {box}")
    side = max(1, round(SIDE_OF_HEIGHT * box.height))
    left = (box.left + box.right - side) // 2
    top = (box.top + box.bottom - side) // 2
    right, bottom = left + side, top + side
    inside = image[max(0, top) : min(height, bottom), max(0, left) : min(width, right)]
    gray = cv2.cvtColor(inside, cv2.COLOR_BGR2GRAY)
    over = (max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width))
    square = cv2.copyMakeBorder(gray, *over, cv2.BORDER_REPLICATE)
    # INTER_AREA averages all pixels of a large face; when enlarging it would only repeat them.
    how = cv2.INTER_AREA if side > side_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (side_px, side_px), interpolation=how), np.uint8)


def require_bgr(image: NDArray[Any]) -> None:
    """Raise `ValueError` unless `image` is ``(H, W, 3)`` uint8 with at least one pixel."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(
            f"expected an image (H, W, 3) uint8 BGR with H, W > 0, got {image.shape} {image.dtype}"
        )
