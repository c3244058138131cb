"""Cameras of this machine by number, through OpenCV.

OpenCV and not PyAV, because a number means the same to it on Linux (V4L2) and macOS
(AVFoundation), and because it chooses a pixel format and size that the camera has. Its drawbacks:
`read()` can hang for ever after a camera comes back (opencv#22677), so whoever reads from it does
so in a thread of its own (`reader.py`); and it gives no media times worth having.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import cv2
import numpy as np

from contract.errors import SourceError
from producer.video import CapturedFrame, Image, SourceLost

SILENCE_LIMIT_S = 4.0  # so that a camera that hangs is noticed within 5 s
MAX_FAILED_READS = 10  # a single failed read happens; this many in a row is a pulled cable


class CameraVideo:
    """An open camera; a `Video`. Raises `SourceError` when there is no camera of this number."""

    is_endless = True
    duration_s = None
    frames_expected = None
    silence_limit_s = SILENCE_LIMIT_S

    def __init__(self, index: int) -> None:
        # OpenCV would tell the terminal about every backend it tried in vain.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self.label = f"camera {index}"
        self._capture = cv2.VideoCapture(index, _backend())
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(f"{self.label}: no such camera, or another program uses it")
        # Old frames in the driver's queue are latency.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def frames(self) -> Iterator[CapturedFrame]:
        failed = 0
        last_s = time.monotonic()
        # A read of a camera that hangs fails after ten seconds, and the camera cannot be opened
        # again before this thread has let go of it: not only after ten such reads.
        while failed < MAX_FAILED_READS and time.monotonic() - last_s < SILENCE_LIMIT_S:
            success, image = self._capture.read()
            if success:
                failed = 0
                yield CapturedFrame(time.time_ns(), None, partial(_as_is, image))
                last_s = time.monotonic()
            else:
                failed += 1
        raise SourceLost("closed", f"{self.label}: no pictures any more")

    def close(self) -> None:
        self._capture.release()


def _as_is(image: Any, _max_width: int) -> Image:
    picture: Image = np.asarray(image, np.uint8)
    return picture


def _backend() -> int:
    """The system's own interface: the others only cost start-up time."""
    backends = {"Linux": cv2.CAP_V4L2, "Darwin": cv2.CAP_AVFOUNDATION}
    return backends.get(platform.system(), cv2.CAP_ANY)
