"""Small videos made on the spot, each with what a real one can have wrong or special."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

MILLISECONDS = Fraction(1, 1000)

RED, GREEN, BLUE, WHITE = (0, 0, 255), (0, 255, 0), (255, 0, 0), (255, 255, 255)


def quarters(width: int = 160, height: int = 120) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR: red and green above, blue and white below."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = RED
    image[: height // 2, width // 2 :] = GREEN
    image[height // 2 :, : width // 2] = BLUE
    image[height // 2 :, width // 2 :] = WHITE
    return image


def corners(image: NDArray[np.uint8]) -> list[tuple[int, int, int]]:
    """Colours near the corners, clockwise from the upper left, each rounded to 0 or 255."""
    height, width = image.shape[:2]
    return [
        tuple(255 * (int(value) > 127) for value in image[y, x])  # type: ignore[misc]
        for y, x in ((9, 9), (9, width - 10), (height - 10, width - 10), (height - 10, 9))
    ]


def write_video(
    path: Path,
    times_ms: Sequence[int],
    *,
    codec: str = "libx264",
    time_base: Fraction = MILLISECONDS,
    width: int = 160,
    height: int = 120,
) -> Path:
    """A video whose frames are shown at `times_ms`; each frame's picture differs a little."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = time_base
        stream.time_base = time_base
        for number, time_ms in enumerate(times_ms):
            image = quarters(width, height)
            image[height // 2 - 8 : height // 2 + 8, : 4 + number % (width - 4)] = 0
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = round(time_ms / 1000 / time_base), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_audio(path: Path) -> Path:
    """Half a second of silence and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44_100)
        for number in range(20):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = 44_100, 1024 * number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def set_display_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write the matrix of an MP4's first track, as a phone does, into its `tkhd` box.

    ISO/IEC 14496-12, 8.3.2: version 0 holds the matrix 40 bytes after the box's version, as nine
    big-endian fixed-point numbers; a, b, c and d are 16.16.
    """
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4
    assert data[start] == 0, "version 0"
    matrix = (a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    data[start + 40 : start + 76] = struct.pack(">9i", *matrix)
    path.write_bytes(data)
