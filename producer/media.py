"""Files and URLs through PyAV: exact media times, rotation, time-outs that hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import av
import structlog
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from contract.errors import EncodeError, SourceError
from producer.opening import (
    NO_ANSWER,
    READ_TIMEOUT_S,
    is_rtsp,
    lost,
    open_container,
    reason,
    video_stream,
)
from producer.orient import is_quarter_turn, upright
from producer.video import CapturedFrame, Image, MediaTimes, SourceLost, shrunk

_log = structlog.get_logger()

# Packets may come for longer without giving a frame: a camera's next key frame can be 10 s away.
FRAME_TIMEOUT_S = 30.0

MAX_FAULTS_IN_A_ROW = 100  # a demuxer that fails this often without a packet stands still

# A format's flag. The times FFmpeg makes up for one of these (JPEG after JPEG) have nothing to do
# with when a camera took the pictures.
_NO_TIMES: Any = av.format.Flags.no_timestamps.value


class MediaVideo:
    """A file or a URL that PyAV reads; a `Video`.

    location   what FFmpeg opens
    label      what messages call it: without user name and password
    live       a network source: errors mean `SourceLost`, and the end of one that states no length
               does too; a recording that breaks off starts over when it is opened again. Otherwise
               a file: damage is skipped
    on_damage  called by `frames` for each piece that was skipped or decoded only in part

    Raises `SourceError` for what is no video, `SourceLost` for a server that does not answer.
    """

    silence_limit_s = FRAME_TIMEOUT_S

    def __init__(
        self,
        location: str,
        label: str,
        *,
        live: bool,
        on_damage: Callable[[], None] = lambda: None,
    ) -> None:
        self.label = label
        self.live = live
        self._on_damage = on_damage
        self._said_damage = False
        # One for all frames: a new one would start and end threads, a third of a millisecond each.
        self._reformatter = VideoReformatter()
        self._matrices: dict[int, bytes | None] = {}  # by the rotation that a frame states
        self._container = open_container(location, label, live=live)
        try:
            self._stream = video_stream(self._container, label)
        except SourceError:
            self._container.close()
            raise
        # Taken down here, because the reading thread may close the container while another asks.
        duration = self._container.duration
        self.is_endless = live and duration is None
        self.duration_s = None if duration is None else duration / av.time_base
        self.frames_expected = None if self.is_endless else self._count_frames()
        # Threads across frames decode fastest, but each holds a frame back: too late for a camera.
        self._stream.thread_type = "SLICE" if self.is_endless else "AUTO"
        is_untimed = self.is_endless and self._container.format.flags & _NO_TIMES
        self._times = MediaTimes(
            None if is_untimed else self._stream.time_base,
            None if self.is_endless else self._stream.average_rate,
            counts_from_zero=live and is_rtsp(location),
        )

    def frames(self) -> Iterator[CapturedFrame]:
        faults = 0
        last_s = time.monotonic()
        while True:
            try:
                for packet in self._packets():
                    faults = 0
                    # Not left to whoever waits for frames: this thread would go on without him.
                    if self.live and time.monotonic() - last_s >= FRAME_TIMEOUT_S:
                        raise SourceLost(
                            "stalled", f"{self.label}: no picture in {FRAME_TIMEOUT_S:g} s of video"
                        )
                    for decoded in self._decoded(packet):
                        if decoded.is_corrupt:
                            self._note_damage("a picture is incomplete")
                        yield CapturedFrame(
                            captured_at_ns=time.time_ns(),
                            pts_ns=self._times.next_ns(decoded.pts, decoded.dts),
                            image=partial(self._image, decoded),
                        )
                        last_s = time.monotonic()
                break
            except av.error.FFmpegError as error:
                if self.live:
                    raise lost(self.label, error) from error
                if not isinstance(error, av.error.InvalidDataError):
                    raise SourceError(f"{self.label}: reading failed: {reason(error)}") from error
                self._note_damage(reason(error))
                faults += 1
                if faults >= MAX_FAULTS_IN_A_ROW:
                    break  # what is left of the file is damage
        if self.is_endless:
            raise SourceLost("closed", f"{self.label}: the stream ended")

    def close(self) -> None:
        self._container.close()

    def _packets(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            asked_s = time.monotonic()
            packet = next(packets, None)
            if packet is None:
                return
            if self.live and time.monotonic() - asked_s >= READ_TIMEOUT_S:
                # FFmpeg hands out the picture its parser held back, as old as the silence, and
                # would wait for as long once more.
                raise SourceLost("stalled", f"{self.label}: {NO_ANSWER}")
            yield packet

    def _count_frames(self) -> int | None:
        """How many frames the container says it has, or its length and rate let expect."""
        if self._stream.frames > 0:
            return self._stream.frames
        rate = self._stream.average_rate
        if not rate or not self.duration_s:
            return None
        # Where the first frame comes late (Matroska), the length counts from zero all the same.
        start_s = max(0, self._container.start_time or 0) / av.time_base
        return max(1, round((self.duration_s - start_s) * float(rate)))

    def _image(self, frame: VideoFrame, max_width: int) -> Image:
        """(H, W, 3) uint8 BGR, the right way up, at most `max_width` wide."""
        try:
            matrix = self._display_matrix(frame)
            width, height = frame.width, frame.height
            if is_quarter_turn(matrix):
                height, width = shrunk(height, width, max_width)
            else:
                width, height = shrunk(width, height, max_width)
            sized = self._reformatter.reformat(
                frame,
                width=width,
                height=height,
                format="bgr24",
                interpolation="AREA",  # as OpenCV's INTER_AREA: small faces stay free of aliasing
                threads=1,
            )
            image: Any = sized.to_ndarray()
        except (av.error.FFmpegError, ValueError) as error:
            raise EncodeError(f"picture of format {frame.format.name}: {error}") from error
        return upright(image, matrix)

    def _display_matrix(self, frame: VideoFrame) -> bytes | None:
        if frame.rotation not in self._matrices:
            # From a tiny copy: a frame whose side data was looked at refers to itself, and stays,
            # with its picture and its decoder's threads, until Python's cycle collector comes by.
            tiny: Any = frame.reformat(width=2, height=2, format="gray8", threads=1)
            matrix = tiny.side_data.get("DISPLAYMATRIX")
            self._matrices[frame.rotation] = None if matrix is None else bytes(matrix)
        return self._matrices[frame.rotation]

    def _decoded(self, packet: Any) -> list[VideoFrame]:
        try:
            frames: list[VideoFrame] = packet.decode()
            return frames
        except av.error.EOFError:
            return []  # the decoder was flushed before
        except av.error.FFmpegError as error:
            self._note_damage(reason(error))
            return []

    def _note_damage(self, what: str) -> None:
        self._on_damage()
        if not self._said_damage:
            self._said_damage = True
            _log.warning("damaged video, going on", video=self.label, error=what)
