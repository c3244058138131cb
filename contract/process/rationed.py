"""Log lines that come by the thousand: a few of each kind are printed, the others are counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class _Period:
    ends_s: float
    printed: int = 0
    left_out: int = 0


class Rationed:
    """Which lines are printed: of each kind `most` in `period_s` seconds, by a monotonic clock.

    Counts what is left out, so that the log says how much it does not show. No I/O: the caller
    prints. At most `kinds` kinds are told apart, because strangers may choose their names.
    """

    def __init__(
        self,
        most: int = 5,
        period_s: float = 10.0,
        kinds: int = 100,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._period_s = period_s
        self._kinds = kinds
        self._clock = clock
        self._periods: dict[str, _Period] = {}

    def admits(self, kind: str) -> bool:
        """Whether a line of this kind is printed now; if not, it is counted."""
        if kind not in self._periods and len(self._periods) >= self._kinds:
            kind = "others"
        period = self._periods.setdefault(kind, _Period(self._clock() + self._period_s))
        if period.printed < self._most:
            period.printed += 1
            return True
        period.left_out += 1
        return False

    def left_out(self, *, at_end: bool = False) -> dict[str, int]:
        """Kind -> lines left out, of the periods that are over since the last call; `at_end` of all
        that began."""
        now_s = self._clock()
        over = {
            kind: period
            for kind, period in self._periods.items()
            if at_end or period.ends_s <= now_s
        }
        for kind in over:
            del self._periods[kind]
        return {kind: period.left_out for kind, period in over.items() if period.left_out}
