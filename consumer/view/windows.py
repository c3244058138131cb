"""How many a second, and how late, over the last few seconds. No I/O; the time is passed in."""

from __future__ import annotations

from collections import deque

MOST = 4096  # that one window keeps; at more a second its span gets shorter
_LEAST_SPAN_S = 1.0  # a rate over less is a guess


class Window:
    """The latencies of what came in the last `span_s` seconds; times are monotonic seconds."""

    def __init__(self, span_s: float = 5.0) -> None:
        self._span_s = span_s
        self._seen: deque[tuple[float, float]] = deque(maxlen=MOST)
        self._since_s: float | None = None  # the first of all, or the first after a silence

    def add(self, latency_s: float, now_s: float) -> None:
        """Something came, `latency_s` after it should."""
        self._drop_old(now_s)
        if self._since_s is None:
            self._since_s = now_s
        self._seen.append((now_s, latency_s))

    def rate(self, now_s: float) -> float:
        """How many came per second."""
        self._drop_old(now_s)
        if self._since_s is None:
            return 0.0
        is_full = len(self._seen) == MOST
        begin_s = self._seen[0][0] if is_full else max(self._since_s, now_s - self._span_s)
        return len(self._seen) / max(_LEAST_SPAN_S, now_s - begin_s)

    def latencies_s(self, now_s: float) -> list[float]:
        """Of all that is in the window."""
        self._drop_old(now_s)
        return [latency_s for _, latency_s in self._seen]

    def _drop_old(self, now_s: float) -> None:
        while self._seen and self._seen[0][0] < now_s - self._span_s:
            self._seen.popleft()
        if not self._seen:
            self._since_s = None
