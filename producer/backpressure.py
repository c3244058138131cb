"""Waiting for workers to make room in a full stream (lossless mode)."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from producer.heartbeat import Heartbeat

_log = structlog.get_logger()

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.005, 0.05
_REPORT_S = 30.0


class BackpressureWaiter:
    """Waits for one source, and says so: workers that are too slow, or missing, look like a hang.

    backlog   asks how many frames are in the stream, None = asked to stop meanwhile. Asking costs
              less than sending a frame again and again
    observe   gets the seconds of each wait
    """

    def __init__(
        self,
        source_id: str,
        heartbeat: Heartbeat,
        *,
        backlog: Callable[[], int | None],
        max_backlog: int,
        observe: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source_id
        self._heartbeat = heartbeat
        self._backlog = backlog
        self._max_backlog = max_backlog
        self._observe = observe
        self._clock = clock
        self._said_so = False

    def wait(self) -> bool:
        """Wait as long as it takes; False when asked to stop first."""
        if not self._said_so:
            self._said_so = True
            _log.info("stream full, waiting for workers", source=self._source)
        started_s = reported_s = self._clock()
        pause_s = _FIRST_PAUSE_S
        try:
            while not self._heartbeat.wait(pause_s):
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                backlog = self._backlog()
                if backlog is None or backlog < self._max_backlog:
                    return backlog is not None
                if self._clock() - reported_s >= _REPORT_S:
                    reported_s = self._clock()
                    waited_s = round(reported_s - started_s)
                    _log.warning(
                        "still waiting for workers", source=self._source, waited_s=waited_s
                    )
            return False
        finally:
            self._observe(self._clock() - started_s)
