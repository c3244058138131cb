"""One look at a partition in which all counts belong to the same moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from contract import keys as names
from contract import wire
from contract.errors import DecodeError
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
    """Counts of one partition, all of the same moment.

    ``published == events + dead + sum(dropped.values()) + backlog`` holds at every moment.
    `dead_letters` is how many dead letters are still kept, `dead` how many there ever were. One
    that was put back is published once more: producers sent ``published - requeued``.
    """

    published: int
    events: int
    dead: int
    dropped: dict[str, int]
    refused: int
    redelivered: int
    requeued: int
    backlog: int
    pending: int
    dead_letters: int
    dead_letter_bytes: int
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
    """Read the counts of one partition at one moment. An unused partition reads as zeros.

    Raises `DecodeError` for a field that none of the scripts can have written.
    """
    script = (files("contract") / "snapshot.lua").read_text("utf-8")
    reply: Any = client.eval_ro(  # whoever looks need not have the right to write
        script,
        5,
        keys.stats,
        keys.fence,
        keys.frames,
        keys.dead,
        keys.events,
        names.WORKERS_GROUP,
    )
    stats, fence, backlog, dead_letters, events, pending, workers = reply
    counts = dict(_count(*item) for item in _pairs(stats))
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
        requeued=counts.get(names.REQUEUED, 0),
        backlog=backlog,
        pending=pending,
        dead_letters=dead_letters,
        # The total of a stream that somebody deleted is put right by the next letter.
        dead_letter_bytes=counts.get(names.DEAD_BYTES, 0) if dead_letters else 0,
        event_entries=events,
        sources=tuple(
            sorted((source_status(*item) for item in _pairs(fence)), key=lambda s: s.source)
        ),
        workers=tuple(
            WorkerStatus(_printable(name.decode(errors="replace")), held, idle_ms / 1000)
            for name, held, idle_ms in sorted(workers)
        ),
    )


def _printable(text: str) -> str:
    """`text` without the escapes of a terminal that names of strangers may hold."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """A hash as Lua returns it: field, value, field, value."""
    return zip(flat[::2], flat[1::2], strict=True)


def _count(field: bytes, value: bytes) -> tuple[str, int]:
    try:
        return field.decode(), int(value)
    except ValueError as error:
        raise DecodeError(
            "malformed",
            f"stats: {wire.short(field)}: expected an integer, got {wire.short(value)}",
        ) from error


def source_status(name: bytes, value: bytes) -> SourceStatus:
    """A field of the hash at `Keys.fence`. Raises `DecodeError`."""
    try:
        epoch, session, seq, state, at_ns = _printable(value.decode()).split(":")
        return SourceStatus(
            _printable(name.decode()), int(epoch), session, int(seq), state, int(at_ns)
        )
    except ValueError as error:
        raise DecodeError(
            "malformed",
            f"fence: {wire.short(name)}: expected epoch:session:seq:state:at_ns, "
            f"got {wire.short(value)}",
        ) from error
