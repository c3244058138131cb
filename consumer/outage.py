"""How long to wait for a Redis that went away, and when to give up. No I/O but the log."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from contract.errors import BrokerUnavailable

_log = logging.getLogger(__name__)

_FIRST_DELAY_S = 0.1
_MAX_DELAY_S = 2.0


class Outage:
    """Counts the failures since Redis last answered; one log line when it goes, one when it is
    back.

    limit_s   give up after this many seconds without an answer; None = never
    """

    def __init__(
        self,
        server: str,
        limit_s: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._limit_s = limit_s
        self._clock = clock
        self._since_s: float | None = None
        self._failures = 0

    def failed(self, error: Exception) -> float:
        """Seconds to wait before the next try, longer each time and random, so that many readers
        don't come back in one instant. Raises `BrokerUnavailable` when the time is up."""
        now_s = self._clock()
        if self._since_s is None:
            self._since_s = now_s
            _log.warning("Redis at %s went away, reconnecting: %s", self._server, error)
        gone_s = now_s - self._since_s
        if self._limit_s is not None and gone_s >= self._limit_s:
            raise BrokerUnavailable(
                f"no Redis at {self._server} for {gone_s:.0f} s: {error}"
            ) from error
        delay_s = min(_MAX_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return delay_s * random.uniform(0.5, 1.0)

    def over(self) -> bool:
        """Redis answered. Whether it had been away."""
        if self._since_s is None:
            return False
        # A warning like the first line: whoever read that one wants to read this one.
        _log.warning(
            "Redis at %s is back after %.1f s", self._server, self._clock() - self._since_s
        )
        self._since_s = None
        self._failures = 0
        return True
