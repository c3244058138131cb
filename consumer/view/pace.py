"""Which frames are tapped for the page: few, fairly, and never many bytes. No I/O.

The frames stream cannot be asked for one source's frames, and a frame leaves it as soon as a worker
is done with it. So the tap reads along in bursts: all that is published until every source was seen
once, which takes about as long as one frame of the slowest, then nothing until the next burst.
"""

from __future__ import annotations

from collections.abc import Set

BYTES_PER_S = 8 * 2**20


class Pace:
    """When to read along, and when a burst is over. Times are monotonic seconds.

    fps          most frames of a source per second
    bytes_per_s  of all sources; a burst that took more is followed by a longer pause
    """

    def __init__(self, fps: float, bytes_per_s: float = BYTES_PER_S) -> None:
        if fps <= 0 or bytes_per_s <= 0:
            raise ValueError(f"expected positive numbers, got {fps} and {bytes_per_s}")
        self._period_s = 1 / fps
        self._bytes_per_s = bytes_per_s
        self._began_s = float("-inf")
        self._expected: Set[str] = frozenset()
        self._seen: set[str] = set()
        self._frames = 0
        self._bytes = 0

    def pause_s(self, now_s: float) -> float:
        """How long until the next burst may begin."""
        due_s = self._began_s + max(self._period_s, self._bytes / self._bytes_per_s)
        return max(0.0, due_s - now_s)

    def begin(self, expected: Set[str], now_s: float) -> None:
        """A burst, in which these sources are likely to come."""
        self._began_s = now_s
        self._expected = expected
        self._seen = set()
        self._frames = self._bytes = 0

    def read(self, size: int) -> None:
        """An entry of so many bytes was read, whatever is in it."""
        self._frames += 1
        self._bytes += size

    def is_first(self, source: str) -> bool:
        """Whether this is the first frame of its source in this burst: the one to keep."""
        if source in self._seen:
            return False
        self._seen.add(source)
        return True

    @property
    def room(self) -> int:
        """How many more frames to read in this burst.

        A source slower than the others, or one that is up and sends nothing, must not keep us
        reading everything the others send.
        """
        if self._seen and self._seen >= self._expected:
            return 0
        return max(0, 2 * max(1, len(self._expected)) - self._frames)

    def left_s(self, now_s: float) -> float:
        """How long this burst may still last."""
        return max(0.0, self._began_s + self._period_s - now_s)
