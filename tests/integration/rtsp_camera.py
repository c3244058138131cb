"""An RTSP camera that can be killed, frozen and started again, and whose pictures have numbers."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np
from numpy.typing import NDArray

# Debian's own: no other Python has its GStreamer.
PYTHON = Path("/usr/bin/python3")
SERVER = Path(__file__).with_name("rtsp_server.py")

FPS = 30
KEY_FRAME_EVERY = 15
PICTURES = 300  # then the film starts over
_BITS = 10
_SIDE_PX = 16


def write_film(path: Path, *, key_frame_every: int = KEY_FRAME_EVERY) -> Path:
    """H.264 whose pictures show their number, from 0, as a row of white and black squares."""
    encoding = (
        f"aud=1:repeat-headers=1:keyint={key_frame_every}:min-keyint={key_frame_every}:scenecut=0"
    )
    with av.open(str(path), "w", format="h264") as container:
        options = {"tune": "zerolatency", "x264-params": encoding}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = _BITS * _SIDE_PX, 120, "yuv420p"
        for number in range(PICTURES):
            bits = [255 * (number >> bit & 1) for bit in range(_BITS)]
            row = np.repeat(np.array(bits, np.uint8), _SIDE_PX)
            image = np.tile(row[None, :, None], (120, 1, 3))
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def number_of(jpeg: bytes) -> int:
    """Which picture of the film it is."""
    gray = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert gray is not None
    middles: NDArray[np.bool_] = np.asarray(gray)[60, _SIDE_PX // 2 :: _SIDE_PX] > 127
    return sum(int(is_white) << bit for bit, is_white in enumerate(middles))


class RtspCamera:
    """`rtsp_server.py` on a port that stays the same; a context manager. One at a time.

    started_at_ns   wall clock of picture 0, since the last `start`
    """

    def __init__(self, film: Path, login: str = "") -> None:
        self._film = film
        self._login = login
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[str] | None = None
        self.started_at_ns = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"rtsp://{self.address}/live"

    def __enter__(self) -> RtspCamera:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it; back when its port is open."""
        arguments = [str(self._film), str(FPS), str(self.port), self._login]
        self._process = subprocess.Popen(
            [str(PYTHON), str(SERVER), *arguments], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.started_at_ns = int(self._process.stdout.readline())

    def kill(self) -> None:
        """SIGKILL: its connections are closed."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)
            assert process.stdout is not None
            process.stdout.close()

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nothing comes."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def end_stream(self) -> None:
        self._send(signal.SIGUSR1)

    def answers(self, timeout_s: float = 10.0) -> None:
        """Back as soon as it answers a request."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection,
            ):
                connection.sendall(f"OPTIONS {self.url} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
                if connection.recv(100).startswith(b"RTSP/1.0 "):
                    return
            time.sleep(0.01)
        raise TimeoutError(f"{self.url} did not answer within {timeout_s:g} s")

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
