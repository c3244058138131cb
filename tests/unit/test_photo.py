"""Image files become upright pictures, whole or not at all."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.lookalikes import jpeg, wall
from trainer.data.record import Unreadable
from trainer.prepare.photo import MAX_SIDE_PX, upright

PICTURE = wall(("collins.jpg", 30, 20), width=320, height=240)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied(orientation: int) -> None:
    photo = upright(jpeg(PICTURE, orientation))
    assert photo.image.shape == PICTURE.shape
    assert difference(photo.image, PICTURE) < 2
    assert photo.rotated == (orientation > 1)
    assert photo.scale == 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_other_formats_and_modes_read_alike(kind: str, mode: str) -> None:
    gray = np.linspace(0, 255, 40 * 60).astype(np.uint8).reshape(40, 60)
    out = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    Image.fromarray(gray).convert(mode).save(out, kind, **options)
    assert difference(upright(out.getvalue()).image, np.stack([gray] * 3, -1)) < 1


def test_sixteen_bits_keep_their_range() -> None:
    deep = np.linspace(0, 65535, 40 * 60).astype(np.uint16).reshape(40, 60)
    out = io.BytesIO()
    Image.fromarray(deep).save(out, "PNG")
    assert upright(out.getvalue()).image[..., 0].tolist() == (deep >> 8).tolist()


def test_colours_are_blue_green_red() -> None:
    out = io.BytesIO()
    Image.new("RGB", (20, 20), (200, 100, 50)).save(out, "PNG")
    assert upright(out.getvalue()).image[0, 0].tolist() == [50, 100, 200]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_large_photos_shrink_and_boxes_with_them(kind: str, orientation: int) -> None:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.new("RGB", (4000, 2000))
    image.paste((255, 255, 255), (1000, 500, 2000, 1500))
    image.save(out, kind, exif=exif)
    photo = upright(out.getvalue())
    assert sorted(photo.image.shape[:2]) == [MAX_SIDE_PX // 2, MAX_SIDE_PX]
    assert (photo.image.shape[0] > photo.image.shape[1]) == (orientation == 6)
    # Orientation 6 turns it clockwise: what was left is up, what was down is left.
    box = (1000, 500, 2000, 1500) if orientation == 1 else (500, 1000, 1500, 2000)
    left, top, right, bottom = (round(edge) for edge in photo.scaled(box))
    inside = photo.image[top + 3 : bottom - 3, left + 3 : right - 3]
    assert inside.mean() > 250
    assert photo.image.mean() == pytest.approx(255 / 8, rel=0.05)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "an empty file"),
        (b"<html>not found</html>", "not an image"),
        (jpeg(PICTURE)[:9000], "truncated"),
        (jpeg(PICTURE)[:9000] + bytes(9000), "truncated|damaged"),
        (jpeg(PICTURE)[:30], "not an image|truncated|damaged"),
    ],
)
def test_what_is_not_whole_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        upright(data)


def test_a_picture_that_would_fill_the_memory_is_refused() -> None:
    data = bytearray(jpeg(PICTURE))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(Unreadable, match="too many pixels"):
        upright(bytes(data))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_is_no_reason_to_refuse() -> None:
    data = bytearray(jpeg(PICTURE))
    start = data.index(b"Exif\0\0") + 6
    data[start + 4 : start + 8] = b"\xff\xff\xff\x7f"
    assert difference(upright(bytes(data)).image, PICTURE) < 2
