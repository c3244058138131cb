"""How long to wait for a Redis that went away, and when to give up. No I/O but the log."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from contract.connect import is_passing
from contract.errors import BrokerError, BrokerUnavailable

# Not structlog: the reader is also used in programs that decide themselves where their log goes.
_log = logging.getLogger(__name__)

_FIRST_DELAY_S = 0.05
_LONGEST_DELAY_S = 2.0


class Outage:
    """Counts the failures since Redis last answered; one log line when it goes, one when it is
    back.

    who       what the log lines and errors begin with: a source, a worker, a server
    limit_s   give up after this many seconds without an answer; None = never

    `count` is how many outages there were.
    """

    def __init__(
        self,
        who: str,
        limit_s: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._who = who
        self._limit_s = limit_s
        self._clock = clock
        self._since_s: float | None = None
        self._failures = 0
        self.count = 0

    @property
    def is_on(self) -> bool:
        """Whether the last call failed."""
        return self._since_s is not None

    def failed(self, error: Exception) -> float:
        """Seconds to wait before the next try: longer each time and random, so that many clients
        don't come back in one instant.

        Raises `BrokerUnavailable` when the time is up, and `BrokerError` at once for an error that
        waiting does not cure.
        """
        if not is_passing(error):
            raise BrokerError(f"{self._who}: Redis refused: {error}") from error
        now_s = self._clock()
        if self._since_s is None:
            self._since_s = now_s
            self.count += 1
            _log.warning("%s: no answer from Redis, waiting: %s", self._who, error)
        gone_s = now_s - self._since_s
        if self._limit_s is not None and gone_s >= self._limit_s:
            raise BrokerUnavailable(f"{self._who}: no Redis for {gone_s:.0f} s: {error}") from error
        delay_s = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(self._failures, 10))
        self._failures += 1
        return delay_s * random.uniform(0.5, 1.0)

    def over(self) -> bool:
        """Redis answered. Whether it had been away."""
        if self._since_s is None:
            return False
        # A warning like the first line: whoever read that one wants to read this one.
        _log.warning("%s: Redis is back after %.1f s", self._who, self._clock() - self._since_s)
        self._since_s = None
        self._failures = 0
        return True
