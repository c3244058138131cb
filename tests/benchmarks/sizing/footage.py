"""The clip in other sizes and with other numbers of faces, as dense in detail as it is."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

HEIGHTS = {640: 480, 1280: 720, 1920: 1080}
WIDTHS = tuple(HEIGHTS)
_BLOCK = 32  # pixels; a multiple of JPEG's and H.264's


@dataclass(frozen=True, slots=True)
class Footage:
    """A video of `width` pixels; `name` says what is on it."""

    name: str
    width: int
    path: Path


def make_footage(clip: Path, folder: Path, most: int) -> list[Footage]:
    """`clip` at each of `WIDTHS`, and at the smallest without faces and as a crowd.

    The larger ones are the clip in a corner of what is as dense in detail and has no faces.
    Stretched, it would have too little detail, and JPEGs of half the bytes. At most `most` frames
    each, from all over it.
    """
    with av.open(str(clip)) as container:
        video = container.streams.video[0]
        rate = video.average_rate
        step = max(1, -(-video.frames // most))
        frames = itertools.islice(container.decode(video=0), 0, step * most, step)
        pictures = [_fitted(frame.to_ndarray(format="bgr24")) for frame in frames]
    small = WIDTHS[0]
    made: list[tuple[str, int, Callable[[Any], Any]]] = [
        (f"{width}x{height}", width, lambda image, size=(width, height): surrounded(image, *size))
        for width, height in HEIGHTS.items()
    ]
    made += [
        ("no faces", small, scrambled),
        ("a crowd", small, lambda image: _fitted(np.tile(image, (2, 2, 1)))),
    ]
    return [
        Footage(name, width, _write(folder / f"{name}.mkv", map(make, pictures), rate))
        for name, width, make in made
    ]


def surrounded(image: Any, width: int, height: int) -> Any:
    """`image`, (H, W, 3) uint8, in the upper left of a picture of that size."""
    down, right = -(-height // image.shape[0]), -(-width // image.shape[1])
    around = np.tile(scrambled(image), (down, right, 1))
    around[: image.shape[0], : image.shape[1]] = image
    return np.ascontiguousarray(around[:height, :width])


def scrambled(image: Any) -> Any:
    """The blocks of `image` in another order, always the same one: nobody's face is left."""
    down, right = image.shape[0] // _BLOCK, image.shape[1] // _BLOCK
    blocks = image.reshape(down, _BLOCK, right, _BLOCK, 3).swapaxes(1, 2)
    order = np.random.default_rng(0).permutation(down * right)
    mixed = blocks.reshape(-1, _BLOCK, _BLOCK, 3)[order].reshape(blocks.shape)
    return np.ascontiguousarray(mixed.swapaxes(1, 2).reshape(image.shape))


def _fitted(image: Any) -> Any:
    return cv2.resize(image, (WIDTHS[0], HEIGHTS[WIDTHS[0]]), interpolation=cv2.INTER_AREA)


def _write(path: Path, images: Any, rate: Fraction | None) -> Path:
    with av.open(str(path), "w") as sink:
        stream: Any = None
        for image in images:
            if stream is None:
                options = {"preset": "veryfast", "crf": "18"}  # what is lost are bytes of the JPEGs
                stream = sink.add_stream("libx264", rate=rate or 15, options=options)
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
            sink.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        sink.mux(stream.encode(None))
    return path
