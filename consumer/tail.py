"""One events stream read on one's own: no group, nothing to acknowledge."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from consumer.progress import Missed, Progress, Start, StreamState, format_id, parse_id
from contract.script import Script
from contract.wire import Entry

if TYPE_CHECKING:
    import redis

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries in stream order (id, fields), and what was missed before or among them; `at_end` if
    there were no more just then."""

    entries: Sequence[tuple[bytes, Entry]]
    missed: Missed
    at_end: bool = False


def entries_of(raw: Sequence[Any]) -> list[tuple[bytes, Entry]]:
    """The entries a script returned, (id, fields) each, with their fields as a map."""
    return [
        # One field is the rule: an entry of ours has no other.
        (entry_id, {fields[0]: fields[1]} if len(fields) == 2 else dict(_pairs(fields)))
        for entry_id, fields in raw
    ]


def _pairs(fields: Sequence[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(fields[::2], fields[1::2], strict=True)


class Tail:
    """The place of a reader without a group in one stream. All methods raise redis's own errors."""

    def __init__(self, client: redis.Redis, key: str, start: Start) -> None:
        self._script = Script(client, "consumer", "tail", read_only=True)
        self.key = key
        self._start = start

    def open(self) -> None:
        """Resolve the start once, so that a reconnect loses nothing."""
        self._progress = Progress(self._start, self._read(0)[1])

    @property
    def wake_after(self) -> str:
        """An entry after this id is one we have not read."""
        return format_id(self._progress.last_id)

    def fetch(self, count: int) -> Batch:
        """Up to `count` entries that follow those fetched before; does not wait."""
        entries, state = self._read(count)
        if self._progress.is_rolled_back(state, len(entries)):
            _log.warning("the stream %s lost entries: reading it again, without repeats", self.key)
            self._progress.rewind(state)
            entries, state = self._read(count)
        last = parse_id(entries[-1][0]) if entries else None
        at_end = len(entries) < count
        missed = self._progress.advance(state, len(entries), last, end=at_end)
        return Batch(entries, missed, at_end)

    def acknowledge(self, entry_ids: Iterable[bytes]) -> None:
        """Nothing to do: nobody keeps a list."""

    def look_again(self) -> None:
        """Nothing to do: the position is ours, whatever happened to the connection."""

    def leave(self) -> Missed:
        """Nothing to give back."""
        return Missed()

    def _read(self, count: int) -> tuple[list[tuple[bytes, Entry]], StreamState]:
        """Entries and the stream's state, of the same moment."""
        after = self.wake_after if count else "0-0"
        raw, added, length, first, newest = self._script(keys=[self.key], args=[after, count])
        return entries_of(raw), StreamState(added, length, parse_id(first), parse_id(newest))
