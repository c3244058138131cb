"""One frame on its way from a producer to a worker."""

from __future__ import annotations

from dataclasses import dataclass

from contract import wire
from contract.errors import DecodeError
from contract.jpeg import jpeg_size

_side = wire.integer(1, wire.MAX_IMAGE_SIDE_PX)
_time_ns = wire.integer(0)
_image = wire.binary(wire.MAX_IMAGE_BYTES)
_trace = wire.optional(wire.binary(wire.MAX_TRACE_BYTES))


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
    trace            opaque trace context (W3C traceparent), carried through unchanged
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
        wire.require(wire.name, "source", self.source)
        wire.require(wire.name, "session", self.session)
        wire.require(_image, "image", self.image)
        wire.require(_side, "width", self.width)
        wire.require(_side, "height", self.height)
        return wire.pack(
            {
                "v": wire.VERSION,
                "source": self.source,
                "session": self.session,
                "seq": self.seq,
                "captured_at_ns": self.captured_at_ns,
                "pts_ns": self.pts_ns,
                "width": self.width,
                "height": self.height,
                "encoding": self.encoding,
                "image": self.image,
                "max_age_ns": self.max_age_ns,
                "trace": self.trace,
            },
            limit=wire.MAX_FRAME_BYTES,
        )

    @classmethod
    def decode(cls, entry: wire.Entry) -> FrameMessage:
        """The frame in a stream entry.

        Raises `DecodeError` when the entry is no frame of a readable version, breaks a limit, or
        when its JPEG header claims another size than the message: the size is checked here, before
        anybody allocates pixels for it.
        """
        message = wire.unpack(entry, limit=wire.MAX_FRAME_BYTES)
        frame = cls(
            source=wire.get(message, "source", wire.name),
            session=wire.get(message, "session", wire.name),
            seq=wire.get(message, "seq", wire.integer(0)),
            captured_at_ns=wire.get(message, "captured_at_ns", _time_ns),
            pts_ns=wire.get(message, "pts_ns", wire.optional(wire.integer(-wire.INT64_MAX))),
            width=wire.get(message, "width", _side),
            height=wire.get(message, "height", _side),
            encoding=wire.get(message, "encoding", wire.one_of("jpeg")),
            image=wire.get(message, "image", _image),
            max_age_ns=wire.get(message, "max_age_ns", wire.optional(_time_ns)),
            trace=wire.get(message, "trace", _trace),
        )
        if frame.width * frame.height > wire.MAX_IMAGE_PIXELS:
            raise DecodeError(
                "oversized",
                f"expected at most {wire.MAX_IMAGE_PIXELS:,} pixels, "
                f"got {frame.width}x{frame.height}",
            )
        size = jpeg_size(frame.image)
        if size != (frame.width, frame.height):
            raise DecodeError(
                "image",
                f"expected a JPEG of {frame.width}x{frame.height}, got {size[0]}x{size[1]}",
            )
        return frame
