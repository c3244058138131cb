"""Streams that wait for each other, so that a source which moved is read in order. No I/O.

A source that moves to another partition ends its session in the old stream before it begins the
next one in the new stream. A reader may come to that beginning first: it reads many streams, each
as far as it gets. So it stops there, at that stream alone, until it has read all others to their
end; the end of the old session is in one of them, and was there before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

LONGEST_S = 15.0  # a server that is away may have the end


@dataclass(slots=True)
class _Hold(Generic[T]):
    items: list[T]
    behind: set[int]  # streams that were not read to their end since
    at_ns: int
    since_s: float


class Holds(Generic[T]):
    """What came of held streams and was not handed out. Streams are known by their number; times
    are monotonic seconds."""

    def __init__(self) -> None:
        self._held: dict[int, _Hold[T]] = {}

    def __contains__(self, stream: object) -> bool:
        return stream in self._held

    def add(
        self, stream: int, items: Iterable[T], others: Iterable[int], *, at_ns: int, now_s: float
    ) -> None:
        """Hold a stream at a session that began at `at_ns`, the first of `items`, until the
        `others` were read to their end."""
        self._held[stream] = _Hold(list(items), set(others), at_ns, now_s)

    def was_read(self, stream: int) -> None:
        """A stream was read to its end."""
        for hold in self._held.values():
            hold.behind.discard(stream)

    def release(self, now_s: float) -> list[T]:
        """What need not wait any longer; its first item is where it was held."""
        # Of two that wait for each other, and for nothing else, the older one goes on.
        for stream, hold in sorted(self._held.items(), key=lambda item: item[1].at_ns):
            if hold.behind <= self._held.keys() or now_s - hold.since_s >= LONGEST_S:
                del self._held[stream]
                return hold.items
        return []

    def clear(self) -> None:
        self._held.clear()
