"""The events of each source in capture order, however many workers there are. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from consumer.session_frames import Waited
from consumer.source_order import SourceOrder
from contract.event import Record

# A source that is forgotten begins again as if joined in the middle of a session.
_MAX_SOURCES = 1024


class Order:
    """Puts the records of every source in capture order, and keeps none for long.

    ::

        order = Order(lateness_s=0.2)
        while True:
            record = reader.next_record(timeout_s=0.02)
            now_s = reader.fetched_at_s
            play(order.due(now_s) if record is None else order.put(record, now_s))

    Who stands still for a second must not take for lost what it has not read. So `due` means that
    all that came until then was put, and `put` that all was which came at earlier times: of records
    fetched together, with the same time, none gives another one up.

    Frames of a session count from 0, so the next one is released at once: nothing waits while
    nothing is missing. What comes before its turn waits for those that are missing, at most
    `lateness_s` from its own arrival; then they are counted as `missing` and it goes on. An event
    that comes after its place was passed is dropped and counted as `late`, and is no longer
    `missing`, so that at the end ``frames = released + late + missing``.

    In a session whose beginning was not seen the first events wait for `lateness_s`; it then begins
    with the lowest. ``started`` comes before its session's frames, ``ended`` and ``offline`` after
    the last, and a session after the end of the one before. `consumer.source_order` says how long
    they wait for missing frames; they hold up no event for longer than `lateness_s`.

    lateness_s   0: no event waits, those that come too late are dropped

    Records come each once, as from `EventReader`. Times are monotonic seconds. Memory is bounded:
    4,096 records of a source wait at most, then the first gap is given up; of more than 1,024
    sources, the one silent for longest is let go and forgotten.
    """

    def __init__(self, lateness_s: float = 0.2) -> None:
        self._lateness_s = lateness_s
        self._sources: dict[str, SourceOrder] = {}
        self._waiting: dict[str, SourceOrder] = {}  # those of them that hold anything
        self._now_s = 0.0
        self._until_s = 0.0  # all that came until then was put
        self._late_before = 0
        self._missing_before = 0

    @property
    def late(self) -> int:
        """Records that came after their place was passed, and were dropped."""
        return self._late_before + sum(source.late for source in self._sources.values())

    @property
    def missing(self) -> int:
        """Frames that were given up and have not come since."""
        return self._missing_before + sum(source.missing for source in self._sources.values())

    def counts(self) -> dict[str, tuple[int, int]]:
        """(late, missing) of each source that is remembered."""
        return {name: (source.late, source.missing) for name, source in self._sources.items()}

    def put(self, record: Record, now_s: float) -> list[Record]:
        """Take a record that came at `now_s`; returns what may go on, in order."""
        return [waited.record for waited in self.put_waited(record, now_s)]

    @property
    def until_s(self) -> float:
        """All that came until then was put."""
        return self._until_s

    def due(self, now_s: float) -> list[Record]:
        """What has waited long enough by `now_s`, all that came until then being put."""
        return [waited.record for waited in self.due_waited(now_s)]

    def flush(self) -> list[Record]:
        """All that waits, in order: nothing more will come. Frames before it are missing."""
        return [waited.record for waited in self.flush_waited()]

    def next_due_s(self) -> float | None:
        """When `due` has something at the latest; None if nothing waits for the clock."""
        if not self._waiting:
            return None
        times_s = (source.next_due_s() for source in self._waiting.values())
        return min((due_s for due_s in times_s if due_s is not None), default=None)

    def holds(self, source: str) -> bool:
        """Whether anything of this source waits."""
        return source in self._waiting

    def put_waited(self, record: Record, now_s: float) -> list[Waited]:
        """As `put`, with the time at which each record came."""
        if now_s != self._now_s:
            self._until_s = self._now_s if self._lateness_s else now_s
            self._now_s = now_s
        name = record.source
        source = self._sources.get(name)
        forgotten: list[Waited] = []
        if source is None:
            forgotten = self._make_room()
            source = self._sources[name] = SourceOrder(self._lateness_s)
        released = source.put(record, now_s, self._until_s)
        if source.is_empty:
            self._waiting.pop(name, None)
        else:
            self._waiting[name] = source
        return forgotten + released if forgotten else released

    def due_waited(self, now_s: float) -> list[Waited]:
        """As `due`, with the time at which each record came."""
        self._now_s = self._until_s = now_s
        if not self._waiting:
            return []
        released: list[Waited] = []
        for name, source in list(self._waiting.items()):
            released += source.due(now_s)
            if source.is_empty:
                del self._waiting[name]
        return released

    def flush_waited(self) -> list[Waited]:
        """As `flush`, with the time at which each record came."""
        released = [waited for source in self._waiting.values() for waited in source.flush()]
        self._waiting.clear()
        return released

    def _make_room(self) -> list[Waited]:
        if len(self._sources) < _MAX_SOURCES:
            return []
        name = min(self._sources, key=lambda name: self._sources[name].last_s)
        source = self._sources.pop(name)
        self._waiting.pop(name, None)
        released = source.flush()
        self._late_before += source.late
        self._missing_before += source.missing
        return released


def in_order(
    records: Iterable[Record],
    lateness_s: float = 0.2,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Record]:
    """`records` through an `Order`, as a plain iterator.

    clock   when the record in hand came; of an `EventReader`, ``lambda: reader.fetched_at_s``

    What waits goes on when another record comes, or at the end: over a reader that falls silent use
    `Order` itself.
    """
    order = Order(lateness_s)
    for record in records:
        yield from order.put(record, clock())
    yield from order.flush()
