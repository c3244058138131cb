"""Pictures the right way up: a phone records sideways and writes down how to turn it."""

from __future__ import annotations

import struct
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray


def is_quarter_turn(display_matrix: bytes | None) -> bool:
    """Whether the upright picture is as wide as the stored one is high."""
    if display_matrix is None or len(display_matrix) != 36:
        return False
    a, b, _, c, d, *_ = struct.unpack("=9i", display_matrix)
    return bool(abs(a) + abs(d) < abs(b) + abs(c))


def upright(image: NDArray[np.uint8], display_matrix: bytes | None) -> NDArray[np.uint8]:
    """`image` ((H, W, 3) uint8) turned and mirrored as the display matrix says.

    `display_matrix` is FFmpeg's AV_FRAME_DATA_DISPLAYMATRIX: nine native int32, rows (a, b, u),
    (c, d, v), (x, y, w), which map a pixel (p, q) to (a p + c q, b p + d q). Only its quarter turns
    and mirrorings are applied; their signs are read here instead of using FFmpeg's rotation angle,
    because that takes a mirrored picture for one upside down.
    """
    if display_matrix is None or len(display_matrix) != 36:
        return image
    a, b, _, c, d, *_ = struct.unpack("=9i", display_matrix)
    turned: Any = image
    if is_quarter_turn(display_matrix):  # columns become rows
        turned = cv2.transpose(image)
        right_to_left, upside_down = c < 0, b < 0
    else:
        right_to_left, upside_down = a < 0, d < 0
    if right_to_left or upside_down:
        turned = cv2.flip(turned, -1 if right_to_left and upside_down else int(right_to_left))
    return cast(NDArray[np.uint8], turned)
