"""The bytes of an image file become an upright picture."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from trainer.data.record import BoxEdges, Unreadable

Bgr = npt.NDArray[np.uint8]

# Larger than a face crop ever needs, as large as a camera's frame: 32 photos of 12 megapixels would
# take a gigabyte.
MAX_SIDE_PX = 1920
MAX_PIXELS = 170_000_000
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class Photo:
    """An upright picture.

    image     (H, W, 3) uint8 BGR, no side longer than `MAX_SIDE_PX`
    scale     its size divided by that of the file
    rotated   whether its EXIF orientation had to be applied
    """

    image: Bgr
    scale: float
    rotated: bool

    def scaled(self, box: BoxEdges) -> BoxEdges:
        """A box in pixels of the upright file as one in pixels of `image`."""
        left, top, right, bottom = (edge * self.scale for edge in box)
        return left, top, right, bottom


def upright(data: bytes) -> Photo:
    """Decode any usual format, whole or not at all. Raises `Unreadable`.

    Pillow, not OpenCV: OpenCV fills what a truncated JPEG lacks with gray and says nothing.
    """
    try:
        with Image.open(io.BytesIO(data)) as file:
            if file.width * file.height > MAX_PIXELS:
                raise Unreadable("too many pixels")
            longest = max(file.size)
            if longest > MAX_SIDE_PX:
                # JPEGs are then decoded at a half, a quarter or an eighth; others as they are.
                share = MAX_SIDE_PX / longest
                file.draft("RGB", (round(file.width * share), round(file.height * share)))
            turn = _TURNS.get(_orientation(file))
            picture = _rgb(file)
    except (Unreadable, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise Unreadable("not an image" if data else "an empty file") from error
    except Image.DecompressionBombError as error:
        raise Unreadable("too many pixels") from error
    except Exception as error:  # decoders raise of every kind: struct.error, SyntaxError, ...
        truncated = "truncated" in str(error)
        raise Unreadable("truncated" if truncated else "a damaged image") from error
    if max(picture.size) > MAX_SIDE_PX:
        share = MAX_SIDE_PX / max(picture.size)
        size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
        picture = picture.resize(size, Image.Resampling.BOX)
    scale = max(picture.size) / longest
    if turn is not None:
        picture = picture.transpose(turn)
    image = np.ascontiguousarray(np.asarray(picture, np.uint8)[..., ::-1])
    return Photo(image, scale, turn is not None)


def _orientation(file: Image.Image) -> int:
    try:
        return int(file.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF is as damaged as its makers like; the picture may be whole
        return 1


def _rgb(file: Image.Image) -> Image.Image:
    if file.mode.startswith("I"):  # 16 bits a pixel, which convert() would cut off at 255
        deep = np.asarray(file, np.int64)
        return Image.fromarray((deep >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    return file.convert("RGB")
