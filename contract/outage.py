"""How long to wait for a Redis that went away, and when to give up. No I/O but the log, and the
probes of `Outages`."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from contract.connect import REFUSED, is_lasting, is_passing
from contract.errors import AccessDenied, BrokerError, BrokerUnavailable
from contract.redact import redacted

# Not structlog: the reader is also used in programs that decide themselves where their log goes.
_log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_DELAY_S = 0.05
# A fail-over of a cluster costs two: one call learns who the new master is, the next one asks it.
_LONGEST_DELAY_S = 1.0
_HANGS_S = 1.0  # a call that fails after this long was not refused but left hanging
_PROBE_EVERY_S = 0.25


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

    @property
    def since_s(self) -> float | None:
        """When the first call failed, by the clock; None if the last one didn't."""
        return self._since_s

    def failed(self, error: Exception) -> float:
        """Seconds to wait before the next try: longer each time and random, so that many clients
        don't come back in one instant.

        Raises `BrokerUnavailable` when the time is up, `AccessDenied` at once for missing rights,
        and `BrokerError` at once for any other error that waiting does not cure.
        """
        if is_lasting(error):
            raise AccessDenied(f"{self._who}: Redis refused: {error}") from error
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


def patient_start(
    ask: Callable[[], T],
    url: str,
    limit_s: float | None,
    pause: Callable[[float], object],
) -> T | None:
    """What `ask` returns, for the first question to a server that `check` found to be there: while
    it loads its data, say, it is asked again for `limit_s`.

    `pause` waits for so many seconds, or until somebody says stop: then it returns true, and None
    is returned. Raises `AccessDenied` for missing rights, else what `Outage.failed` raises.
    """
    outage = Outage(f"Redis at {redacted(url)}", limit_s)
    while True:
        try:
            result = ask()
        except REFUSED as error:
            if is_lasting(error):
                raise AccessDenied(f"Redis at {redacted(url)} refused us: {error}") from error
            if pause(outage.failed(error)):
                return None
        else:
            outage.over()
            return result


class Outages:
    """The outages of several places, of which each may be away by itself: the partitions of a
    cluster. The others are not to wait for it, so nothing here waits: `usable` says who may be
    asked now.

    who       as in `Outage`
    limit_s   give up when none of them has answered for this many seconds; None = never
    probe     asks a place for a sign of life. One that hangs is asked in a thread, or each try
              would cost the others a socket time-out
    shared    all places are on one server, so that one that is away tells of all
    """

    def __init__(
        self,
        who: str,
        limit_s: float | None,
        probe: Callable[[int], object],
        *,
        shared: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._who = who
        self._shared = shared
        self._places: list[Outage] = []
        self._due_s: list[float] = []
        self._limit_s = limit_s
        self._probe = probe
        self._clock = clock
        self._closed = threading.Event()

    @property
    def count(self) -> int:
        """How many outages there were, of any place."""
        return sum(outage.count for outage in set(self._places))

    def add(self, name: str) -> None:
        """One more place. One on the same server as the others is away when they are."""
        self._due_s.append(min(self._due_s, default=0.0) if self._shared else 0.0)
        self._places.append(
            self._places[0]
            if self._shared and self._places
            else Outage(
                f"{self._who}, {name}" if not self._shared else self._who, None, self._clock
            )
        )

    def close(self) -> None:
        """Ask nobody any more. A thread that asks ends after this try."""
        self._closed.set()

    def usable(self) -> list[int]:
        """The places that may be asked: those that answer, and those whose next try is due."""
        return [place for place in range(len(self._places)) if self.is_usable(place)]

    def is_usable(self, place: int) -> bool:
        """Whether this one may be asked. Look again after each call: it may have told of all."""
        return not self._places[place].is_on or self._clock() >= self._due_s[place]

    def wait_s(self) -> float:
        """Seconds until a place is usable; 0 when one is."""
        if self.usable():
            return 0.0
        return max(0.0, min(self._due_s) - self._clock())

    def is_on(self, place: int) -> bool:
        """Whether the last call there failed."""
        return self._places[place].is_on

    def failed(self, place: int, error: Exception, began_s: float) -> None:
        """A call that began at `began_s`, by the clock, did not get its answer.

        Raises `BrokerUnavailable` and `BrokerError` as `Outage.failed` does.
        """
        delay_s = self._places[place].failed(error)
        now_s = self._clock()
        if all(outage.is_on for outage in self._places):
            gone_s = now_s - max(outage.since_s or 0.0 for outage in self._places)
            if self._limit_s is not None and gone_s >= self._limit_s:
                raise BrokerUnavailable(
                    f"{self._who}: no Redis for {gone_s:.0f} s: {error}"
                ) from error
        elif now_s - began_s >= _HANGS_S:
            delay_s = math.inf
        for at in range(len(self._places)) if self._shared else (place,):
            self._due_s[at] = now_s + delay_s
        if delay_s == math.inf:
            threading.Thread(
                target=self._ask_until_answer, args=(place,), name=f"probe {place}", daemon=True
            ).start()

    def answered(self, place: int) -> bool:
        """A call got its answer. Whether the place had been away."""
        return self._places[place].over()

    def _ask_until_answer(self, place: int) -> None:
        while not self._closed.wait(_PROBE_EVERY_S):
            try:
                self._probe(place)
            except Exception as error:
                if not is_passing(error):
                    break  # whoever asks next is told
            else:
                break
        self._due_s[place] = 0.0
