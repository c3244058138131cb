"""How long to wait before a lost source is tried again. Pure: the dice are passed in."""

from __future__ import annotations

import random


class Backoff:
    """Doubling waits with jitter, up to a cap; `reset` after a success.

    The jitter takes up to half of each wait away, so that twenty cameras behind one switch that
    restarts don't all come back in the same instant, and again and again.
    """

    def __init__(self, *, base_s: float, cap_s: float, dice: random.Random | None = None) -> None:
        self._base_s = base_s
        self._cap_s = cap_s
        self._dice = dice or random.Random()
        self._tries = 0

    def next_s(self) -> float:
        """Seconds to wait before the next try."""
        # The exponent is bounded: a camera that is off for a month must not overflow a float.
        full_s = min(self._cap_s, self._base_s * 2.0 ** min(self._tries, 32))
        self._tries += 1
        return full_s * self._dice.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._tries = 0
