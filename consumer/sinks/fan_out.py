"""Signals (or records) to every sink at once, and none waits for another."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Generic, TypeVar

from consumer.sinks.sink import Sink
from contract.errors import SinkFailed

T = TypeVar("T")
_log = logging.getLogger(__name__)

QUEUE = 20_000  # signals: 15 cameras at 30 frames/s for more than half a minute
REPORT_EVERY_S = 30.0
CLOSE_S = 2.0  # for what waits, at the end


class FanOut(Generic[T]):
    """Gives each sink a thread and a queue of its own; a context manager.

    A sink that is slow loses its oldest signals when its queue is full, one that fails loses what
    it did not take: counted, in the log when it begins and every 30 s, and of no concern to the
    others. What is a bug in a sink (any error but `OSError` and `SinkFailed`) is raised by the next
    `put`.
    """

    def __init__(
        self,
        sinks: Iterable[Sink[T]],
        *,
        queue: int = QUEUE,
        close_s: float = CLOSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._close_s = close_s
        self._clock = clock
        self._lines = [_Line(sink, queue, clock) for sink in sinks]

    @property
    def lost(self) -> dict[str, int]:
        """Signals that did not reach a sink, by its name."""
        return {line.sink.name: line.lost for line in self._lines}

    def __enter__(self) -> FanOut[T]:
        for line in self._lines:
            line.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def put(self, items: Sequence[T], now_s: float) -> None:
        """Hand on signals that came at monotonic `now_s`; never waits."""
        for line in self._lines:
            line.put(items, now_s)

    def close(self) -> None:
        """Let every sink finish what it has, at most `close_s` seconds together."""
        for line in self._lines:
            line.finish()
        deadline_s = self._clock() + self._close_s
        for line in self._lines:
            line.join(deadline_s)
        for line in self._lines:
            line.raise_failure()


class _Line(Generic[T]):
    """One sink, its queue and its thread."""

    def __init__(self, sink: Sink[T], queue: int, clock: Callable[[], float]) -> None:
        self.sink = sink
        self.lost = 0
        self._clock = clock
        self._most = queue
        self._waiting: deque[tuple[T, float]] = deque()
        self._wake = threading.Condition()
        self._is_closing = False
        self._failure: BaseException | None = None
        self._told = 0
        self._told_s = float("-inf")
        self._why = ""
        context = contextvars.copy_context()  # what log lines carry
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name=sink.name, daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def put(self, items: Sequence[T], now_s: float) -> None:
        self.raise_failure()
        with self._wake:
            self._waiting.extend((item, now_s) for item in items)
            while len(self._waiting) > self._most:
                self._waiting.popleft()
                self._lose("it is too slow")
            self._wake.notify()

    def finish(self) -> None:
        with self._wake:
            self._is_closing = True
            self._wake.notify()

    def join(self, deadline_s: float) -> None:
        self._thread.join(max(0.0, deadline_s - self._clock()))
        if self._thread.is_alive():
            with self._wake:
                self.lost += len(self._waiting) + 1  # and the one in its hands
                self._waiting.clear()
            self._why = "it does not end"
            self._report()
        elif self.lost > self._told:
            self._report()

    def raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _run(self) -> None:
        try:
            while (work := self._next()) is not None:
                self._attempt(work)
            self._attempt(self.sink.close)
        except BaseException as error:  # `put` or `close` raises it: nothing dies in silence here
            self._failure = error
        with self._wake:
            self._is_closing = True
            self._waiting.clear()

    def _next(self) -> Callable[[], None] | None:
        """What to do next; None when all is done."""
        with self._wake:
            while True:
                now_s, due_s = self._clock(), self.sink.due_s()
                # The clock first: a queue that never runs empty must not hold up an even pace.
                if due_s is not None and due_s <= now_s:
                    return lambda: self.sink.tick(now_s)
                if self._waiting:
                    item, came_s = self._waiting.popleft()
                    return lambda: self.sink.write(item, came_s)
                if self._is_closing:
                    return None
                self._wake.wait(None if due_s is None else due_s - now_s)

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, SinkFailed) as error:
            with self._wake:
                self._lose(getattr(error, "strerror", None) or str(error))

    def _lose(self, why: str) -> None:
        self.lost += 1
        self._why = why
        if self._clock() - self._told_s >= REPORT_EVERY_S:
            self._report()

    def _report(self) -> None:
        _log.warning("%s: %d lost: %s", self.sink.name, self.lost - self._told, self._why)
        self._told = self.lost
        self._told_s = self._clock()
