"""What OpenTelemetry is told of a sampled frame on its way to Redis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contract.process.otel import Span, Tracer
    from producer.publish import Published


class FrameTrace:
    """One sampled frame: captured, encoded, sent."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._encode_ns = time.time_ns()
        self._sending: Span | None = None

    def encoded(self) -> bytes:
        """It is a JPEG and goes to Redis now, with these bytes as its `trace`."""
        now_ns = time.time_ns()
        self._span.step("encode", self._encode_ns, now_ns)
        self._sending = self._span.operation("send", now_ns)
        return self._sending.header

    def end(self, published: Published | None, *, error: str | None = None) -> None:
        """Redis has it or refused it; None: it was not sent, by a fault or because of a stop."""
        now_ns = time.time_ns()
        about: dict[str, str | int] = {"emotion.outcome": "unsent"}
        if published is not None:
            about = {
                "emotion.outcome": "accepted" if published.accepted else "refused",
                "emotion.session": published.session,
                "emotion.seq": published.seq,
            }
        if self._sending is not None:
            self._sending.end(now_ns, error=error)
        self._span.end(now_ns, about, error=error)


class FrameTraces:
    """Begins the traces of a producer. For all threads."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def begin(self, source: str, captured_at_ns: int) -> FrameTrace | None:
        """None for a frame that is not sampled."""
        span = self._tracer.begin("capture", captured_at_ns, {"emotion.source": source})
        return None if span is None else FrameTrace(span)
