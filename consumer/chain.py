"""The whole way from records to signals: order, merge, people, steadiness. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from consumer.order import Order
from consumer.people.gate import GateOptions
from consumer.people.smooth import Smoother, SmoothOptions
from consumer.people.tracks import Tracker
from consumer.timeline import Timeline
from contract.event import EmotionEvent, Record, SourceRecord
from contract.smoothed import Signal


@dataclass(frozen=True, slots=True)
class ChainOptions:
    """How records become signals.

    lateness_s  how long an event waits for an earlier one that is not there yet
    merge       several sources in one line, by capture time; costs waiting for the slowest
    gate        which faces are people
    forget_s    a person who was not seen for so long has left
    smooth      how steady
    silence_s   a source from which nothing came for so long has nobody in it any more
    """

    lateness_s: float = 0.2
    merge: bool = False
    gate: GateOptions = field(default_factory=GateOptions)
    forget_s: float = 1.0
    smooth: SmoothOptions = field(default_factory=SmoothOptions)
    silence_s: float = 2.0


_MAX_SOURCES = 1024  # of more, as in `Order`, the one silent for longest is forgotten


class Chain:
    """Records in, as they come; signals out. Times are monotonic seconds.

    `put` a record, and ask `due` when `next_due_s` says so: an event may wait for an earlier one.
    Transitions come before the smoothed event they belong to. Several sources are independent of
    each other unless `merge` is set.
    """

    def __init__(self, options: ChainOptions | None = None) -> None:
        self._options = options or ChainOptions()
        line = Timeline if self._options.merge else Order
        self._order = line(self._options.lateness_s)
        self._people: dict[str, _Source] = {}

    @property
    def late(self) -> int:
        """Events that came when their place had passed, and were left out."""
        return self._order.late

    @property
    def missing(self) -> int:
        """Frames that never had an event within the lateness: dropped, buried, or very late."""
        return self._order.missing

    def put(self, record: Record, now_s: float) -> list[Signal]:
        """What this record lets go."""
        return self._signals(self._order.put(record, now_s), now_s)

    def due(self, now_s: float) -> list[Signal]:
        """What need not wait any longer at `now_s`."""
        signals = self._signals(self._order.due(now_s), now_s)
        for source in self._people.values():
            if source.silent_at_s is not None and source.silent_at_s <= now_s:
                signals += source.fall_silent(self._options.silence_s)
        return signals

    def next_due_s(self) -> float | None:
        """When `due` has something to do, if nothing is put before; None = nothing waits."""
        waiting = [source.silent_at_s for source in self._people.values()]
        waiting.append(self._order.next_due_s())
        return min((due_s for due_s in waiting if due_s is not None), default=None)

    def flush(self, now_s: float) -> list[Signal]:
        """Everything that waits; at the end."""
        return self._signals(self._order.flush(), now_s)

    def _signals(self, ordered: list[Record], now_s: float) -> list[Signal]:
        return [signal for record in ordered for signal in self._see(record, now_s)]

    def _see(self, record: Record, now_s: float) -> Iterator[Signal]:
        source = self._people.get(record.source)
        if source is None:
            source = self._people[record.source] = _Source(self._options)
            if len(self._people) > _MAX_SOURCES:
                yield from self._forget_one()
        if isinstance(record, EmotionEvent):
            yield from source.see(record, now_s)
        else:
            yield from source.mark(record)

    def _forget_one(self) -> list[Signal]:
        """Of too many sources, the one that was silent for longest is let go."""
        name = min(self._people, key=lambda name: self._people[name].last_s)
        return self._people.pop(name).fall_silent(0.0)


class _Source:
    """Tracks and filters of one source; `silent_at_s` is when its people count as gone."""

    def __init__(self, options: ChainOptions) -> None:
        self._options = options
        self._tracker = Tracker(options.gate, forget_s=options.forget_s)
        self._smoother = Smoother(options.smooth)
        self._last_ns = 0
        self._is_up = False
        self.last_s = math.inf  # one that has just come is not the oldest
        self.silent_at_s: float | None = None

    def see(self, event: EmotionEvent, now_s: float) -> list[Signal]:
        self._last_ns = event.captured_at_ns
        self._is_up = True
        self.last_s = now_s
        signals: list[Signal] = [*self._smoother.see(self._tracker.see(event))]
        self.silent_at_s = None if self._smoother.is_empty else now_s + self._options.silence_s
        return signals

    def mark(self, record: SourceRecord) -> list[Signal]:
        self._tracker.mark(record)
        self._smoother.mark(record)
        if record.moved and (self._is_up or record.state != "started"):
            return []  # nothing happened that anybody could see
        self._is_up = not record.is_end
        if record.is_end:
            return [*self._end(record.at_ns), record]
        return [record]

    def fall_silent(self, silence_s: float) -> list[Signal]:
        return self._end(self._last_ns + round(silence_s * 1e9))

    def _end(self, at_ns: int) -> list[Signal]:
        self.silent_at_s = None
        return [*self._smoother.end(at_ns)]
