"""One look at a partition in which all counts belong to the same moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contract import keys as names
from contract.keys import Keys

if TYPE_CHECKING:
    import redis


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The newest session of one source, as its fence holds it."""

    source: str
    epoch: int
    session: str
    last_seq: int
    state: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker as the consumer group knows it; `idle_s` since it last asked for anything."""

    name: str
    pending: int
    idle_s: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Counts of one partition, read in one MULTI.

    ``published == events + dead + sum(dropped.values()) + backlog`` holds at every moment.
    `dead_letters` is how many dead letters are still kept, `dead` how many there ever were.
    """

    published: int
    events: int
    dead: int
    dropped: dict[str, int]
    refused: int
    redelivered: int
    backlog: int
    pending: int
    dead_letters: int
    event_entries: int
    sources: tuple[SourceStatus, ...]
    workers: tuple[WorkerStatus, ...]

    @property
    def settled(self) -> int:
        """Frames that came to an end: event, dead letter or drop."""
        return self.events + self.dead + sum(self.dropped.values())

    @property
    def unaccounted(self) -> int:
        """0 as long as the conservation law holds."""
        return self.published - self.settled - self.backlog


def read_snapshot(client: redis.Redis, keys: Keys) -> Snapshot:
    """Read the counts of one partition in one transaction. An unused partition reads as zeros."""
    with client.pipeline(transaction=True) as pipe:
        pipe.hgetall(keys.stats)
        pipe.hgetall(keys.fence)
        pipe.xlen(keys.frames)
        pipe.xlen(keys.dead)
        pipe.xlen(keys.events)
        pipe.xinfo_groups(keys.frames)
        pipe.xinfo_consumers(keys.frames, names.WORKERS_GROUP)
        # No stream or no group yet is an answer here, not a failure.
        stats, fence, backlog, dead_letters, events, groups, consumers = pipe.execute(
            raise_on_error=False
        )
    for reply in (stats, fence, backlog, dead_letters, events):
        if isinstance(reply, Exception):
            raise reply
    counts = {field.decode(): int(value) for field, value in stats.items()}
    group = next(
        (g for g in _rows(groups) if g["name"] == names.WORKERS_GROUP.encode()), {"pending": 0}
    )
    return Snapshot(
        published=counts.get(names.PUBLISHED, 0),
        events=counts.get(names.EVENTS, 0),
        dead=counts.get(names.DEAD, 0),
        dropped={
            field.removeprefix(names.DROPPED): count
            for field, count in counts.items()
            if field.startswith(names.DROPPED)
        },
        refused=counts.get(names.REFUSED, 0),
        redelivered=counts.get(names.REDELIVERED, 0),
        backlog=backlog,
        pending=group["pending"],
        dead_letters=dead_letters,
        event_entries=events,
        sources=tuple(sorted((_source(*item) for item in fence.items()), key=lambda s: s.source)),
        workers=tuple(
            WorkerStatus(row["name"].decode(), row["pending"], row["idle"] / 1000)
            for row in sorted(_rows(consumers), key=lambda row: row["name"])
        ),
    )


def _rows(reply: Any) -> list[dict[str, Any]]:
    return [] if isinstance(reply, Exception) else reply


def _source(name: bytes, value: bytes) -> SourceStatus:
    epoch, session, seq, state, at_ns = value.decode().split(":")
    return SourceStatus(name.decode(), int(epoch), session, int(seq), state, int(at_ns))
