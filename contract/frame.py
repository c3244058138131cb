"""One frame on its way from a producer to a worker."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

from contract import wire
from contract.errors import DecodeError, EncodeError
from contract.jpeg import jpeg_size

# In the order they have on the wire; encode and decode refuse the same. Producers of the release
# before look for `max_age_ns` in here by their publish.lua: at most 15 keys, plain values.
_CHECKS: wire.Checks = {
    "source": wire.name,
    "session": wire.name,
    "seq": wire.integer(0),
    "captured_at_ns": wire.integer(0),
    "pts_ns": wire.optional(wire.integer(-wire.INT64_MAX)),
    "width": wire.integer(1, wire.MAX_IMAGE_SIDE_PX),
    "height": wire.integer(1, wire.MAX_IMAGE_SIDE_PX),
    "encoding": wire.one_of("jpeg"),
    "image": wire.binary(wire.MAX_IMAGE_BYTES),
    "max_age_ns": wire.optional(wire.integer(0)),
    "trace": wire.optional(wire.binary(wire.MAX_TRACE_BYTES)),
}
_values = attrgetter(*_CHECKS)


@dataclass(frozen=True, slots=True)
class FrameMessage:
    """A JPEG and where and when it was taken.

    source           id of the camera or file, without ``/``
    session          new for every run of a producer on that source
    seq              counts the frames of a session from 0
    captured_at_ns   wall clock when the frame was taken, nanoseconds since the epoch
    pts_ns           media time in nanoseconds, exact also for variable frame rates; None for
                     sources without one
    width, height    pixels of `image`
    image            JPEG bytes
    max_age_ns       a worker drops the frame unread when it is older than this; None = never
    trace            W3C traceparent of the producer's span, on frames that are traced; a reader
                     takes anything else as none
    """

    source: str
    session: str
    seq: int
    captured_at_ns: int
    pts_ns: int | None
    width: int
    height: int
    image: bytes
    encoding: str = "jpeg"
    max_age_ns: int | None = None
    trace: bytes | None = None

    @property
    def id(self) -> str:
        """``source/session/seq``: the id of the frame and of its event."""
        return f"{self.source}/{self.session}/{self.seq}"

    def is_stale(self, now_ns: int) -> bool:
        """Whether the frame is older than its producer allows at wall-clock `now_ns`."""
        return self.max_age_ns is not None and now_ns - self.captured_at_ns > self.max_age_ns

    def encode(self) -> bytes:
        """The msgpack bytes of field ``m``. Raises `EncodeError` if a limit is broken."""
        fields = dict(zip(_CHECKS, _values(self), strict=True))
        wire.require_all(fields, _CHECKS)
        if too_large := _too_large(self.width, self.height):
            raise EncodeError(too_large)
        message = wire.to_send({"v": wire.VERSION, **fields})
        return wire.pack(message, limit=wire.MAX_FRAME_BYTES)

    @classmethod
    def decode(cls, entry: wire.Entry) -> FrameMessage:
        """The frame in a stream entry.

        Raises `DecodeError` when the entry is no frame of a readable version, breaks a limit, or
        when its JPEG header claims another size than the message: the size is checked here, before
        anybody allocates pixels for it.
        """
        message = wire.unpack(
            entry, limit=wire.MAX_FRAME_BYTES, containers=wire.MAX_FRAME_CONTAINERS
        )
        frame = cls(**wire.get_all(wire.current(message), _CHECKS))
        if too_large := _too_large(frame.width, frame.height):
            raise DecodeError("oversized", too_large)
        size = jpeg_size(frame.image)
        if size != (frame.width, frame.height):
            raise DecodeError(
                "image",
                f"expected a JPEG of {frame.width}x{frame.height}, got {size[0]}x{size[1]}",
            )
        return frame


def _too_large(width: int, height: int) -> str | None:
    """What is wrong with a picture of that size, if anything."""
    if width * height <= wire.MAX_IMAGE_PIXELS:
        return None
    return f"expected at most {wire.MAX_IMAGE_PIXELS:,} pixels, got {width}x{height}"
