"""`--record`: every JPEG of a session as it was sent, in one Matroska file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import structlog
from av.container import OutputContainer
from av.packet import Packet

from contract.errors import UsageError
from producer.encode import Jpeg

_log = structlog.get_logger()

_TIME_BASE = Fraction(1, 1000)  # Matroska's own


class Recorder:
    """Writes ``FOLDER/SOURCE-SESSION.mkv``: MJPEG whose n-th packet is frame n of the session.

    The bytes are those that were published, refused frames included, not encoded again. Times are
    those of the media (of capture, where it has none), counted from the first frame and made to
    rise, since a file must not run backwards. A file whose producer was killed plays up to there.

    Raises `UsageError` naming the flag when the folder cannot be written.
    """

    def __init__(self, folder: Path, source_id: str) -> None:
        self._folder = folder
        self._source = source_id
        self._session: str | None = None
        self._container: OutputContainer | None = None
        self._stream: Any = None
        self._start_ns = 0
        self._last_pts = -1

    def add(self, session: str, jpeg: Jpeg, *, media_ns: int) -> None:
        """Append the next frame of `session`; a new session starts a new file."""
        try:
            if session != self._session:
                self.close()
                self._open(session, jpeg, media_ns)
            assert self._container is not None
            packet = Packet(jpeg.data)
            packet.stream = self._stream
            packet.time_base = _TIME_BASE
            pts = round((media_ns - self._start_ns) / 1_000_000)
            self._last_pts = max(pts, self._last_pts + 1)
            packet.pts = packet.dts = self._last_pts
            packet.is_keyframe = True
            self._container.mux(packet)
        except OSError as error:
            raise self._failure(error) from error

    def close(self) -> None:
        """Finish the file in hand, if there is one."""
        container, self._container, self._session = self._container, None, None
        try:
            if container is not None:
                container.close()
        except OSError as error:  # the last bytes did not fit
            raise self._failure(error) from error

    def _failure(self, error: OSError) -> UsageError:
        return UsageError(f"--record {self._folder}: {error.strerror}")

    def _open(self, session: str, jpeg: Jpeg, media_ns: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{self._source}-{session}.mkv"
        self._container = av.open(f"file:{path}", "w", format="matroska")
        # Its encoder is never fed; the stream only describes the packets that we have already.
        stream = self._container.add_stream("mjpeg")
        stream.width, stream.height, stream.pix_fmt = jpeg.width, jpeg.height, "yuvj420p"
        stream.time_base = stream.codec_context.time_base = _TIME_BASE
        self._stream = stream
        self._session = session
        self._start_ns, self._last_pts = media_ns, -1
        _log.info("recording", source=self._source, path=str(path))
