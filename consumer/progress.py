"""How far a reader without a group has come in a stream, and how many entries it never saw.

No I/O. The count is exact because Redis counts every entry ever added: what was added but is
neither behind the reader nor in the stream any more was missed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

EntryId = tuple[int, int]  # milliseconds since the epoch, number within that millisecond
Start = Literal["now", "beginning"] | EntryId

_FIRST: EntryId = (0, 0)
_START_ID = re.compile(r"([0-9]{1,20})(?:-([0-9]{1,20}))?")
_MAX_PART = 2**64 - 1


def parse_start(text: str) -> Start:
    """``now``, ``beginning`` or a stream id. Raises `ValueError` that says what is expected."""
    if text == "now":
        return "now"
    if text == "beginning":
        return "beginning"
    match = _START_ID.fullmatch(text)
    if match:
        at = (int(match[1]), int(match[2] or 0))
        if max(at) <= _MAX_PART:
            return at
    raise ValueError("expected now, beginning or a stream id such as 1767225600000-0")


def parse_id(text: bytes) -> EntryId:
    """The id Redis wrote as ``milliseconds-number``."""
    milliseconds, _, number = text.partition(b"-")
    return int(milliseconds), int(number)


def format_id(entry_id: EntryId) -> str:
    return f"{entry_id[0]}-{entry_id[1]}"


@dataclass(frozen=True, slots=True)
class StreamState:
    """A stream at one moment: entries ever added, entries still there, first and newest id."""

    added: int = 0
    length: int = 0
    first_id: EntryId = _FIRST
    newest_id: EntryId = _FIRST

    @property
    def removed(self) -> int:
        """Entries trimmed or deleted since the stream began."""
        return self.added - self.length


@dataclass(frozen=True, slots=True)
class Missed:
    """`count` entries were never seen; when not `exact`, at least so many."""

    count: int = 0
    exact: bool = True


class Progress:
    """Where a reader is: the last id it took, and how many entries were added up to that one.

    That number (the position) is unknown when the caller names an id to start after: Redis does not
    tell how many came before an entry. It becomes known when the reader first reaches the end, or
    meets a gap.
    """

    def __init__(self, start: Start, state: StreamState) -> None:
        self._position: int | None = None
        self._removed_before = 0
        if start == "now":
            self.last_id = state.newest_id
        elif start == "beginning":
            self.last_id = _FIRST
            self._position = state.removed
        else:
            # An id from before Redis lost data can lie after everything there is.
            self.last_id = min(start, state.newest_id)
            if start == _FIRST:
                self._position = 0
        if self.last_id == state.newest_id and self._position is None:
            self._position = state.added
        self._started_after = self.last_id

    def is_rolled_back(self, state: StreamState, read: int) -> bool:
        """Whether Redis lost entries that we have read (`read` of them just now)."""
        return state.newest_id < self.last_id or (
            self._position is not None and state.added < self._position + read
        )

    def rewind(self, state: StreamState) -> None:
        """Go back to where we started after a roll-back.

        With the clock of another host, entries added since can have smaller ids than the last one
        we took. Those we know already are repeats, which the reader drops.
        """
        self.last_id = min(self._started_after, state.newest_id)
        self._position = None
        self._removed_before = state.removed

    def advance(self, state: StreamState, read: int, last: EntryId | None, *, end: bool) -> Missed:
        """Take `read` entries up to id `last` that lay after `last_id` in the stream's `state`.

        `end` says that there were no more. Tells how many entries between were missed: counted when
        the gap begins where we stood, or else, for single deleted entries, at the end.
        """
        position = self._position
        gap = state.newest_id > self.last_id and (
            state.length == 0 or state.first_id > self.last_id
        )
        if position is None:
            missed = Missed(int(gap and state.removed > self._removed_before), exact=False)
            if end or gap:
                self._position = state.added if end else state.removed + read
        elif end:
            missed = Missed(max(0, state.added - position - read))
            self._position = state.added
        else:
            missed = Missed(max(0, state.removed - position))
            self._position = max(position, state.removed) + read
        if last is not None:
            self.last_id = last
        return missed
