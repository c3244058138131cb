"""Everything that one system left in Redis, read when nothing of it runs any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import redis

from contract.event import EmotionEvent, SourceRecord, decode_record
from contract.frame import FrameMessage
from contract.keys import Keys
from contract.partitions import Layout, read_layout
from contract.snapshot import Snapshot, read_snapshot

Session = tuple[str, str]  # its source and its id
_PAGE = 5_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter: the id of its frame, why, and after how many solo attempts."""

    frame_id: str
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Partition:
    """What is in one partition.

    events    ids of all events, in the order of their stream
    records   all source records, in the order of their stream
    """

    snapshot: Snapshot
    events: Sequence[str]
    records: Sequence[SourceRecord]
    dead: Sequence[DeadLetter]
    attempts_left: int

    @property
    def settled(self) -> list[str]:
        """Ids of all frames that are an event or a dead letter."""
        return [*self.events, *(letter.frame_id for letter in self.dead)]

    @property
    def sessions(self) -> set[Session]:
        """Those that left anything."""
        frames = {session_of(frame_id) for frame_id in self.settled}
        return frames | {(record.source, record.session) for record in self.records}


@dataclass(frozen=True, slots=True)
class Evidence:
    """All partitions that a system has or had."""

    layout: Layout
    partitions: Sequence[Partition]

    @property
    def events(self) -> list[str]:
        """Ids of all events, one partition after the other."""
        return list(chain.from_iterable(partition.events for partition in self.partitions))

    @property
    def records(self) -> list[SourceRecord]:
        return list(chain.from_iterable(partition.records for partition in self.partitions))

    @property
    def dead(self) -> list[DeadLetter]:
        return list(chain.from_iterable(partition.dead for partition in self.partitions))

    @property
    def settled(self) -> list[str]:
        """Ids of all frames that are an event or a dead letter."""
        return list(chain.from_iterable(partition.settled for partition in self.partitions))

    def sum(self, count: Callable[[Snapshot], int]) -> int:
        """Of one count over all partitions."""
        return sum(count(partition.snapshot) for partition in self.partitions)

    def place_of_sessions(self) -> dict[Session, int]:
        """The partition each lies in; of one that lies in several, the last."""
        return {
            session: number
            for number, partition in enumerate(self.partitions)
            for session in partition.sessions
        }


def session_of(frame_id: str) -> Session:
    """Of the frame, or event, with this id."""
    source, session, _ = frame_id.split("/")
    return source, session


def read_evidence(client: redis.Redis, prefix: str) -> Evidence:
    """Read all of it; nothing may run any more."""
    layout = read_layout(client, prefix) or Layout()
    partitions = [_read_partition(client, Keys(prefix, number)) for number in range(layout.streams)]
    return Evidence(layout, partitions)


def _read_partition(client: redis.Redis, keys: Keys) -> Partition:
    events: list[str] = []
    records: list[SourceRecord] = []
    for entry in _entries(client, keys.events):
        record = decode_record(entry)
        if isinstance(record, EmotionEvent):
            events.append(record.id)
        else:
            records.append(record)
    dead = [
        DeadLetter(
            FrameMessage.decode(entry).id, entry[b"reason"].decode(), int(entry[b"attempts"])
        )
        for entry in _entries(client, keys.dead)
    ]
    return Partition(read_snapshot(client, keys), events, records, dead, client.hlen(keys.attempts))


def _entries(client: redis.Redis, key: str) -> Iterable[dict[bytes, bytes]]:
    after = "-"
    while True:
        page: Any = client.xrange(key, after, "+", count=_PAGE)
        if not page:
            return
        for _, fields in page:
            yield fields
        after = f"({page[-1][0].decode()}"
