"""Streams that wait for each other, so that a source which moved is read in order. No I/O.

A source that moves to another partition ends its session in the old stream before it begins the
next one in the new stream. A reader may come to that beginning first: it reads many streams, each
as far as it gets. So it stops there, at that stream alone, until it has read all others as far as
they went by then; the end of the old session is in one of them, and was there before. It may even
be in one that the reader has yet to hear of.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

LONGEST_S = 15.0  # a server that is away may have the end

# An entry so much younger, by the clocks of two servers, comes after all that is waited for: also
# who never gets to the end of a stream goes on.
_YOUNGER_MS = 10_000

_UNKNOWN = -1  # in place of streams that nobody has told us of


@dataclass(slots=True)
class _Hold(Generic[T]):
    items: list[T]
    behind: set[int]  # streams that were not read far enough since
    at_ns: int
    at_ms: int
    began_s: float
    moved_s: float  # when a stream that it waits for was last seen to come nearer


class Holds(Generic[T]):
    """What came of held streams and was not handed out. Streams are known by their number; times
    are monotonic seconds, but for `at_ms`, which are those in the ids of entries.

    longest_s   how long to wait for streams that give nothing
    """

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        self._longest_s = longest_s
        self._held: dict[int, _Hold[T]] = {}

    def __contains__(self, stream: object) -> bool:
        return stream in self._held

    def __len__(self) -> int:
        return len(self._held)

    def add(
        self,
        stream: int,
        items: Iterable[T],
        others: Iterable[int],
        *,
        at_ns: int,
        at_ms: int,
        now_s: float,
    ) -> None:
        """Hold a stream at a session that began at `at_ns`, the first of `items`, until the
        `others` were read, and those that `knows_all` may yet bring."""
        behind = {_UNKNOWN, *others}
        self._held[stream] = _Hold(list(items), behind, at_ns, at_ms, now_s, now_s)

    def add_stream(self, stream: int) -> None:
        """One more, which nobody knew of."""
        for hold in self._held.values():
            hold.behind.add(stream)

    def knows_all(self, asked_s: float) -> None:
        """All streams that there were at this time are known."""
        for hold in self._held.values():
            if hold.began_s <= asked_s:
                hold.behind.discard(_UNKNOWN)

    def was_read(self, stream: int) -> None:
        """A stream was read to its end."""
        for hold in self._held.values():
            hold.behind.discard(stream)

    def came_to(self, stream: int, at_ms: int, now_s: float) -> None:
        """A stream was read up to this entry, and has more."""
        for hold in self._held.values():
            if stream in hold.behind:
                hold.moved_s = now_s
                if at_ms - hold.at_ms > _YOUNGER_MS:
                    hold.behind.discard(stream)

    def release(self, now_s: float) -> list[T]:
        """What need not wait any longer; its first item is where it was held."""
        # Of two that wait for each other, and for nothing else, the older one goes on.
        for stream, hold in sorted(self._held.items(), key=lambda item: item[1].at_ns):
            is_over = now_s - hold.moved_s >= self._longest_s
            if hold.behind <= self._held.keys() or is_over:
                del self._held[stream]
                return hold.items
        return []

    def drop(self, before_s: float) -> list[int]:
        """Forget what is held since then or longer, and say which streams that was."""
        old = [stream for stream, hold in self._held.items() if hold.began_s <= before_s]
        for stream in old:
            del self._held[stream]
        return old

    def clear(self) -> None:
        self._held.clear()
