"""A clip as the JPEGs that a producer would send, by OpenCV alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, cycle, islice
from pathlib import Path

import cv2

from contract.frame import FrameMessage
from contract.jpeg import jpeg_size

QUALITY = 90  # the producer's


def read_jpegs(clip: Path, most: int, width: int | None) -> list[bytes]:
    """Up to `most` frames from all over the clip, stretched to `width` if given.

    Raises `OSError` for what is no video.
    """
    capture = cv2.VideoCapture(str(clip))
    step = max(1, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) // most)
    jpegs: list[bytes] = []
    for place in count():
        ok, image = capture.read()
        if not ok or len(jpegs) == most:
            break
        if place % step:
            continue
        if width is not None:
            height = round(image.shape[0] * width / image.shape[1])
            image = cv2.resize(image, (width, height))
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        jpegs.append(data.tobytes())
    if not jpegs:
        raise OSError(f"{clip}: no frame could be read")
    return jpegs


def messages(jpegs: Sequence[bytes], frames: int) -> Iterator[FrameMessage]:
    """So many frames, from the first JPEG on and again."""
    sizes = [jpeg_size(data) for data in jpegs]
    for seq, (data, (width, height)) in enumerate(
        islice(cycle(zip(jpegs, sizes, strict=True)), frames)
    ):
        yield FrameMessage("gpu", "s", seq, 0, None, width, height, data)
