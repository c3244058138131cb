"""Waiting for workers to make room in a full stream (lossless mode)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from contract.errors import WorkersMissing
from producer.heartbeat import Heartbeat

_log = structlog.get_logger()

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.005, 0.05
_REPORT_S = 30.0


@dataclass(frozen=True, slots=True)
class Fill:
    """How full the stream is: frames in it, and frames it ever took.

    The second tells a stream that moves from one that stands still: other producers keep it full.
    """

    backlog: int
    published: int


class BackpressureWaiter:
    """Waits for one source, and says so: workers that are too slow, or missing, look like a hang.

    look      asks how full the stream is, None = asked to stop meanwhile. Asking costs less than
              sending a frame again and again
    limit_s   give up after so many seconds in which nothing moved
    observe   gets the seconds of each wait
    """

    def __init__(
        self,
        source_id: str,
        heartbeat: Heartbeat,
        *,
        look: Callable[[], Fill | None],
        max_backlog: int,
        limit_s: float,
        observe: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source_id
        self._heartbeat = heartbeat
        self._look = look
        self._max_backlog = max_backlog
        self._limit_s = limit_s
        self._observe = observe
        self._clock = clock
        self._said_so = False

    def wait(self) -> bool:
        """Wait for room; False when asked to stop first.

        Raises `WorkersMissing` when nothing moved for too long.
        """
        if not self._said_so:
            self._said_so = True
            _log.info("stream full, waiting for workers", source=self._source)
        started_s = reported_s = moved_s = self._clock()
        last: Fill | None = None
        pause_s = _FIRST_PAUSE_S
        try:
            while not self._heartbeat.wait(pause_s):
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                fill = self._look()
                if fill is None or fill.backlog < self._max_backlog:
                    return fill is not None
                now_s = self._clock()
                if last is not None and fill != last:
                    moved_s = now_s
                last = fill
                if now_s - moved_s >= self._limit_s:
                    raise WorkersMissing(
                        f"{self._source}: the stream is full and no worker took a frame for "
                        f"{now_s - moved_s:.0f} s (--full-timeout)"
                    )
                if now_s - reported_s >= _REPORT_S:
                    reported_s = now_s
                    _log.warning(
                        "still waiting for workers",
                        source=self._source,
                        waited_s=round(now_s - started_s),
                        still_s=round(now_s - moved_s),
                    )
            return False
        finally:
            self._observe(self._clock() - started_s)
