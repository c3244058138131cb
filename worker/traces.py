"""What OpenTelemetry is told of a sampled frame's way through a worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec

from contract.frame import FrameMessage
from contract.keys import WORKERS_GROUP
from worker.delivery import Delivery, Settlement

if TYPE_CHECKING:
    from contract.process.otel import Span, Tracer
    from worker.endings import Framed

P = ParamSpec("P")
_Key = tuple[int, bytes]  # partition, entry id

# Far more than a worker holds. A frame that is never settled here, because another worker had taken
# it over, is forgotten when so many newer ones came.
_MOST = 10_000


class _Trace:
    """A frame in hand: its span, and what it does or waits for since when."""

    __slots__ = ("batch", "since_ns", "span")

    def __init__(self, span: Span, since_ns: int) -> None:
        self.span = span
        self.since_ns = since_ns
        self.batch = 1


class _Lane(threading.local):
    """What a thread has in hand: its frames that are traced, and how many there are in all."""

    traces: Sequence[_Trace] = ()
    frames = 0


class FrameTraces:
    """Continues the traces that producers began; `worker` is this one's name.

    A batch serves many frames, so each sampled frame is given a span for each stage with the times
    of its batch. `analysing` and `stage` are for the lanes' threads, all else for the loop's.
    """

    def __init__(self, tracer: Tracer, worker: str) -> None:
        self._tracer = tracer
        self._worker = worker
        self._read_ns: dict[_Key, int] = {}
        self._traces: dict[_Key, _Trace] = {}
        self._lane = _Lane()

    def read(self, deliveries: Sequence[Delivery]) -> None:
        """These are in hand now; which of them are traced is not known yet."""
        now_ns = time.time_ns()
        for delivery in deliveries:
            self._read_ns[_key(delivery)] = now_ns
        _forget_oldest(self._read_ns)

    def follow(self, delivery: Delivery, frame: FrameMessage) -> None:
        """This one has a `trace`; garbage in it is no fault of the frame."""
        assert frame.trace is not None
        key = _key(delivery)
        if key in self._traces:  # tried again
            return
        sent = self._tracer.join(frame.trace)
        if sent is None:
            return
        read_ns = self._read_ns.pop(key, None) or time.time_ns()
        sent.step("queue wait", _published_ns(delivery, frame, read_ns), read_ns)
        about: dict[str, str | int] = {
            "messaging.client.id": self._worker,
            "messaging.consumer.group.name": WORKERS_GROUP,
            "messaging.destination.partition.id": str(delivery.partition),
            "messaging.message.id": delivery.name,
            "emotion.source": frame.source,
            "emotion.session": frame.session,
            "emotion.seq": frame.seq,
        }
        self._traces[key] = _Trace(sent.operation("process", read_ns, about), read_ns)
        _forget_oldest(self._traces)

    def analysing(self, frames: Sequence[Framed]) -> None:
        """The stages of the calling thread are these frames' from now on."""
        now_ns = time.time_ns()
        traces = [self._traces.get(_key(item)) for item, _ in frames]
        self._lane.traces = [trace for trace in traces if trace is not None]
        self._lane.frames = len(frames)
        for trace in self._lane.traces:
            trace.span.step("lane wait", trace.since_ns, now_ns)

    def stage(self, stage: str, seconds: float) -> None:
        """The calling thread's batch was so long in a stage that ends now."""
        end_ns = time.time_ns()
        batch = {"messaging.batch.message_count": self._lane.frames}
        for trace in self._lane.traces:
            trace.span.step(stage, end_ns - int(seconds * 1e9), end_ns, batch)
            trace.since_ns = end_ns

    def settling(self, settlements: Sequence[Settlement]) -> None:
        """These are on their way to Redis."""
        now_ns = time.time_ns()
        for item in settlements:
            trace = self._traces.get(_key(item.delivery))
            if trace is not None:
                trace.since_ns = now_ns
                trace.batch = len(settlements)

    def settled(self, item: Settlement, ours: bool) -> None:
        """Redis has this one; not `ours`: another worker had settled it before."""
        trace = self._traces.pop(_key(item.delivery), None)
        if trace is None:
            return
        now_ns = time.time_ns()
        batch = {"messaging.batch.message_count": trace.batch}
        trace.span.operation("settle", trace.since_ns, batch).end(now_ns)
        about: dict[str, str | int] = {"emotion.outcome": item.kind if ours else "lost"}
        error = None
        if item.event is not None:
            about["emotion.faces"] = len(item.event.faces)
        else:
            about["emotion.reason"] = str(item.body)
        if ours and item.kind == "dead":
            about["error.type"] = str(item.body)
            error = item.detail
        trace.span.end(now_ns, about, error=error)


def _key(delivery: Delivery) -> _Key:
    return delivery.partition, delivery.entry_id


def _forget_oldest(kept: dict[_Key, Any]) -> None:
    while len(kept) > _MOST:
        del kept[next(iter(kept))]


def _published_ns(delivery: Delivery, frame: FrameMessage, read_ns: int) -> int:
    """The end of the millisecond, by Redis' clock, in which it took the frame. Neither before the
    capture nor after it was read, as other hosts' clocks may have it."""
    published_ns = (int(delivery.entry_id.partition(b"-")[0]) + 1) * 1_000_000
    return min(max(published_ns, frame.captured_at_ns), read_ns)


def both(first: Callable[P, None], second: Callable[P, None]) -> Callable[P, None]:
    """One that calls the first, then the second."""

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        first(*args, **kwargs)
        second(*args, **kwargs)

    return call
