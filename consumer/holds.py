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

from consumer.progress import EntryId

T = TypeVar("T")

LONGEST_S = 15.0  # a server that is away may have the end


@dataclass(slots=True)
class Hold(Generic[T]):
    """What is held of a stream.

    items      the first is where a session begins
    began      its place in the stream
    fetched_s  when they came
    behind     streams that were not read to their end since
    heard_s    when any of those was read last
    """

    items: list[T]
    began: EntryId
    fetched_s: float
    behind: set[int]
    heard_s: float


class Holds(Generic[T]):
    """What came of held streams and was not handed out. Streams are known by their number; times
    are monotonic seconds.

    longest_s   how long to wait for streams of which nothing is read any more
    """

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        self._longest_s = longest_s
        self._held: dict[int, Hold[T]] = {}

    def __contains__(self, stream: object) -> bool:
        return stream in self._held

    def add(
        self,
        stream: int,
        items: Iterable[T],
        others: Iterable[int],
        *,
        began: EntryId,
        fetched_s: float,
    ) -> None:
        """Hold a stream at the entry `began`, the first of `items`, until the `others` were read to
        their end."""
        self._held[stream] = Hold(list(items), began, fetched_s, set(others), fetched_s)

    def was_read(self, stream: int, now_s: float, *, at_end: bool) -> None:
        """Something of a stream was read; `at_end`: all there is."""
        for hold in self._held.values():
            if stream in hold.behind:
                hold.heard_s = now_s
                if at_end:
                    hold.behind.remove(stream)

    def release(self, now_s: float) -> Hold[T] | None:
        """One that need not wait any longer. To be asked when all that was read of other streams is
        handed out or held."""
        # The oldest goes first: what a younger one waits for may lie behind an older one, but not
        # the other way round. So of two that wait for each other, and for nothing else, it goes on.
        in_turn = sorted(self._held, key=lambda stream: self._held[stream].began)
        for stream in in_turn:
            hold = self._held[stream]
            is_next = stream == in_turn[0] and hold.behind <= self._held.keys()
            if is_next or now_s - hold.heard_s >= self._longest_s:
                return self._held.pop(stream)
        return None

    def drop(self, before_s: float) -> list[int]:
        """Forget what was fetched before then; returns of which streams."""
        old = [stream for stream, hold in self._held.items() if hold.fetched_s <= before_s]
        for stream in old:
            del self._held[stream]
        return old

    def clear(self) -> None:
        self._held.clear()
