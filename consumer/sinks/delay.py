"""How late to play what arrives unevenly. No I/O and no clock: the time is passed in."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

WINDOW_S = 10.0
MOST_ARRIVALS = 512
QUANTILE = 0.95
MARGIN_S = 0.010
FIRST_S = 0.150  # until two events tell how far apart they are
MOST_S = 2.0


@dataclass(frozen=True, slots=True)
class _Arrival:
    """When an event came; how long that was after its capture, and after the capture before it."""

    came_s: float
    transit_s: float
    need_s: float


class Delay:
    """Where the playing clock stands: a moment captured at `t` is played at ``t + offset_s``.

    Both clocks are in seconds and need not agree: the offset is measured from arrivals of the last
    10 s. Fixed: the least transit (arrival minus capture) plus `fixed_s`. Automatic: a moment can
    be played once the first event after it is there, so each arrival tells the offset that would
    have been enough; 95 % of them decide, as in WebRTC's NetEq (`delay_manager.h`), and 10 ms are
    added. That covers the time between two frames and the jitter, and a rare straggler does not
    make everything late; percentiles for that purpose: S. B. Moon, J. Kurose, D. Towsley, "Packet
    audio playout delay adjustment", Multimedia Systems 6 (1998), 17-28.

    What came more than 2 s later than the quickest is a backlog being read, and counts for nothing.
    """

    def __init__(self, fixed_s: float | None = None) -> None:
        if fixed_s is not None and not 0 <= fixed_s < math.inf:
            raise ValueError(f"expected a delay of 0 s or more, got {fixed_s}")
        self._fixed_s = fixed_s
        self._arrivals: deque[_Arrival] = deque(maxlen=MOST_ARRIVALS)
        self._offset_s: float | None = None

    @property
    def is_fixed(self) -> bool:
        return self._fixed_s is not None

    def arrived(self, now_s: float, captured_s: float, before_s: float | None) -> None:
        """An event of `captured_s` came; the one before it, if it is near, is of `before_s`."""
        needed_from_s = captured_s if before_s is None else before_s
        self._arrivals.append(_Arrival(now_s, now_s - captured_s, now_s - needed_from_s))
        self._offset_s = None

    def offset_s(self, now_s: float) -> float:
        """From capture clock to playing clock; needs one arrival before."""
        while len(self._arrivals) > 1 and self._arrivals[0].came_s < now_s - WINDOW_S:
            self._arrivals.popleft()
            self._offset_s = None
        if self._offset_s is None:
            self._offset_s = self._measure()
        return self._offset_s

    def _measure(self) -> float:
        least_s = min(arrival.transit_s for arrival in self._arrivals)
        if self._fixed_s is not None:
            return least_s + self._fixed_s
        needs = sorted(
            arrival.need_s for arrival in self._arrivals
            if arrival.transit_s < arrival.need_s <= least_s + MOST_S
        )  # fmt: skip
        if not needs:
            return least_s + FIRST_S
        return needs[min(len(needs) - 1, int(QUANTILE * len(needs)))] + MARGIN_S
