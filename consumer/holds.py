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

from consumer.progress import EntryId

T = TypeVar("T")

LONGEST_S = 15.0  # a server that is away may have the end

# An entry so much younger, by the clocks of two servers, comes after all that is waited for: also
# who never gets to the end of a stream goes on.
_YOUNGER_MS = 10_000

_UNKNOWN = -1  # in place of streams that nobody has told us of


@dataclass(slots=True)
class Hold(Generic[T]):
    """What is held of a stream.

    items      the first is where a session begins
    began      its place in the stream
    fetched_s  when they came
    behind     streams that were not read far enough since
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

    def __len__(self) -> int:
        return len(self._held)

    def add(
        self,
        stream: int,
        items: Iterable[T],
        others: Iterable[int],
        *,
        began: EntryId,
        fetched_s: float,
    ) -> None:
        """Hold a stream at the entry `began`, the first of `items`, until the `others` were read,
        and those that `knows_all` may yet bring."""
        behind = {_UNKNOWN, *others}
        self._held[stream] = Hold(list(items), began, fetched_s, behind, fetched_s)

    def add_stream(self, stream: int) -> None:
        """One more, which nobody knew of."""
        for hold in self._held.values():
            hold.behind.add(stream)

    def knows_all(self, asked_s: float) -> None:
        """All streams that there were at this time are known."""
        for hold in self._held.values():
            if hold.fetched_s <= asked_s:
                hold.behind.discard(_UNKNOWN)

    def was_read(
        self, stream: int, now_s: float, *, at_end: bool, newest: EntryId | None = None
    ) -> None:
        """A stream was read up to the entry `newest` (None: nothing came), or even to its end."""
        for hold in self._held.values():
            if stream not in hold.behind:
                continue
            hold.heard_s = now_s
            if at_end or (newest is not None and newest[0] - hold.began[0] > _YOUNGER_MS):
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
