"""Opening what FFmpeg reads, and what its errors mean."""

from __future__ import annotations

import time

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from contract.errors import SourceError
from producer.video import SourceLost

# A camera that sends nothing is noticed within 5 s.
OPEN_TIMEOUT_S = 4.0
READ_TIMEOUT_S = 4.0

NO_ANSWER = "no answer within the time allowed"

# FFmpeg plays text files as ANSI art, one picture after the other.
_NOT_VIDEO = frozenset({"ansi", "bintext", "idf", "xbin"})

_RTSP_OPTIONS = {
    "rtsp_transport": "tcp",  # UDP, FFmpeg's default, loses packets and stops at firewalls
    "allowed_media_types": "video",  # sound that goes on must not hide that the pictures stopped
    # FFmpeg would watch the stream for a second to guess its rate, and hand over that second's
    # frames all at once: late, and with a wrong time of capture.
    "fpsprobesize": "0",
    "analyzeduration": "1",
}

# What does not change by asking again; anything else a network can answer may be over in a second.
_PERMANENT = (
    av.error.ProtocolNotFoundError,
    av.error.DemuxerNotFoundError,
    av.error.DecoderNotFoundError,
)
# Not so for RTSP: a camera that starts, or a relay without its camera, knows no stream for a while
# ("404") and hangs up half-way ("invalid data").
_PERMANENT_HTTP = (*_PERMANENT, av.error.HTTPClientError, av.error.InvalidDataError)


def open_container(location: str, label: str, *, live: bool) -> InputContainer:
    """Raises `SourceError` for what is no video, `SourceLost` for a server that does not answer."""
    over_rtsp = is_rtsp(location)
    started_s = time.monotonic()
    try:
        container = av.open(
            location,
            "r",
            options=_RTSP_OPTIONS if over_rtsp else {},
            timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S) if live else None,
            metadata_errors="replace",  # a title in Latin-1 is no reason to refuse a video
        )
    except av.error.FFmpegError as error:
        if live and time.monotonic() - started_s >= OPEN_TIMEOUT_S:
            # Whatever FFmpeg calls it: an RTSP answer cut off by the time-out is "invalid data".
            raise SourceLost("stalled", f"{label}: {NO_ANSWER}") from error
        if isinstance(error, av.error.HTTPUnauthorizedError):
            raise SourceError(f"{label}: user name or password is wrong or missing") from error
        if live and not isinstance(error, _PERMANENT if over_rtsp else _PERMANENT_HTTP):
            raise lost(label, error) from error
        if isinstance(error, av.error.InvalidDataError):
            raise SourceError(f"{label}: not a video, or cut short") from error
        raise SourceError(f"{label}: {reason(error)}") from error
    if over_rtsp and time.monotonic() - started_s >= OPEN_TIMEOUT_S:
        # PyAV allows as long once more for the first pictures, and says nothing when they don't
        # come. What did come is as old as the silence.
        container.close()
        raise SourceLost("stalled", f"{label}: {NO_ANSWER}")
    return container


def is_rtsp(location: str) -> bool:
    return location.lower().startswith(("rtsp://", "rtsps://"))


def video_stream(container: InputContainer, label: str) -> VideoStream:
    """The first moving picture; the cover of a music file is none."""
    for stream in container.streams.video:
        is_cover = stream.disposition & av.stream.Disposition.attached_pic
        # No codec context: this FFmpeg has no decoder for it.
        if not is_cover and stream.codec_context is not None:
            if stream.codec_context.name in _NOT_VIDEO:
                raise SourceError(f"{label}: not a video")
            return stream
    kinds = sorted({stream.type for stream in container.streams})
    raise SourceError(f"{label}: no video stream{', only ' if kinds else ''}{', '.join(kinds)}")


def lost(label: str, error: av.error.FFmpegError) -> SourceLost:
    """What is to be said of a server that `error` came from."""
    # The first is what an interrupted call comes back as, the second the network's own.
    if isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return SourceLost("stalled", f"{label}: {NO_ANSWER}")
    return SourceLost("closed", f"{label}: {reason(error)}")


def reason(error: av.error.FFmpegError) -> str:
    """FFmpeg's words without the location, which can hold a password."""
    return str(error.strerror)
