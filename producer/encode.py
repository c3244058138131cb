"""A picture becomes the JPEG that travels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2

from contract import wire
from contract.errors import EncodeError
from producer.video import Image, shrunk


@dataclass(frozen=True, slots=True)
class Jpeg:
    """JPEG bytes and their size in pixels."""

    data: bytes
    width: int
    height: int


def encode_jpeg(image: Image, *, max_width: int, quality: int) -> Jpeg:
    """`image` ((H, W, 3) uint8 BGR) as a JPEG, shrunk to `max_width` pixels but never enlarged.

    Area averaging keeps small faces free of aliasing. Raises `EncodeError` for a picture over the
    wire's limits.
    """
    height, width = image.shape[:2]
    if width > max_width:
        width, height = shrunk(width, height, max_width)
        resized: Any = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        image = resized
    # Every worker refuses such a picture, so it is better said here, where the camera is known.
    if max(width, height) > wire.MAX_IMAGE_SIDE_PX or width * height > wire.MAX_IMAGE_PIXELS:
        raise EncodeError(
            f"picture of {width}x{height}: expected sides of at most {wire.MAX_IMAGE_SIDE_PX:,} "
            f"and {wire.MAX_IMAGE_PIXELS:,} pixels; a smaller --max-width helps"
        )
    try:
        encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:
        raise EncodeError(f"picture of {width}x{height}: {error}") from error
    if not encoded:
        raise EncodeError(f"picture of {width}x{height}: OpenCV could not encode it")
    return Jpeg(data.tobytes(), width, height)
