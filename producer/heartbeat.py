"""How one source's thread waits: never past a request to stop, and never without a sign of life."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_STEP_S = 1.0  # the longest wait between two beats


class Heartbeat:
    """The stop event of the process and the last sign of life of one source's thread.

    Every wait of that thread goes through here, so a stop is noticed in the middle of it, and the
    main thread can tell waiting from hanging. Times are monotonic seconds.
    """

    def __init__(
        self, stop: threading.Event, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stop = stop
        self._clock = clock
        self._last_beat_s = clock()

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    @property
    def silent_s(self) -> float:
        """Seconds since the last sign of life."""
        return self._clock() - self._last_beat_s

    def beat(self) -> None:
        self._last_beat_s = self._clock()

    def wait(self, seconds: float) -> bool:
        """Wait; True, at once, when the process is asked to stop."""
        deadline_s = self._clock() + seconds
        while True:
            self.beat()
            left_s = deadline_s - self._clock()
            if left_s <= 0:
                return self._stop.is_set()
            if self._stop.wait(min(left_s, _STEP_S)):
                return True
