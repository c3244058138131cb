"""What workers do to the order of events, simulated: records and when each comes to a reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from contract.event import EmotionEvent, Record, SourceRecord, SourceState

LATENESS_S = 0.2
BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
BEGIN_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class Arrival:
    at_s: float
    record: Record


@dataclass(frozen=True, slots=True)
class Release:
    """A record that came out, and how long it was held."""

    record: Record
    waited_s: float


class Orders(Protocol):
    """What `Order`, `Merge` and `Timeline` have in common."""

    def put(self, record: Record, now_s: float) -> list[Record]: ...
    def due(self, now_s: float) -> list[Record]: ...
    def next_due_s(self) -> float | None: ...
    def flush(self) -> list[Record]: ...


def frame(seq: int, at_s: float = 0.0, source: str = "cam", session: str = "s1") -> EmotionEvent:
    at_ns = BEGIN_NS + int(at_s * 1e9)
    return EmotionEvent(source, session, seq, at_ns, None, at_ns, 640, 480, "m@1", ())


def said(
    state: SourceState,
    frames: int | None = None,
    at_s: float = 0.0,
    source: str = "cam",
    session: str = "s1",
) -> SourceRecord:
    return SourceRecord(source, session, state, BEGIN_NS + int(at_s * 1e9), frames)


def play(orders: Orders, arrivals: Iterable[Arrival]) -> list[Release]:
    """All that comes out, by a driver that keeps its appointments."""
    came_s: dict[Record, float] = {}
    out: list[Release] = []

    def note(records: list[Record], now_s: float) -> None:
        out.extend(Release(record, now_s - came_s[record]) for record in records)

    for arrival in sorted(arrivals, key=lambda arrival: arrival.at_s):
        while (due_s := orders.next_due_s()) is not None and due_s <= arrival.at_s:
            note(orders.due(due_s), due_s)
        came_s[arrival.record] = arrival.at_s
        note(orders.put(arrival.record, arrival.at_s), arrival.at_s)
    while (due_s := orders.next_due_s()) is not None:
        note(orders.due(due_s), due_s)
    note(orders.flush(), max(came_s.values(), default=0.0))
    return out


def through_workers(
    draw: Callable[[st.SearchStrategy[Any]], Any],
    captures: Sequence[tuple[float, EmotionEvent]],
    workers: int,
    work_s: st.SearchStrategy[float],
) -> list[Arrival]:
    """Workers take batches of what was captured so far, first in first out, and each is done with
    its own after a time of its own."""
    free_s = [0.0] * workers
    arrivals: list[Arrival] = []
    left = list(captures)
    while left:
        worker = min(range(workers), key=free_s.__getitem__)
        begin_s = max(free_s[worker], left[0][0])
        size = draw(st.integers(1, 8))
        batch = [event for at_s, event in left[:size] if at_s <= begin_s]
        del left[: len(batch)]
        free_s[worker] = begin_s + draw(work_s)
        arrivals += [Arrival(free_s[worker], event) for event in batch]
    return arrivals


@st.composite
def sources(
    draw: st.DrawFn, longest_s: float = LATENESS_S * 0.999, pause_s: float = 0.001
) -> tuple[dict[str, list[Record]], list[Arrival]]:
    """For each source what happened, in order, and how it comes: several sessions, that end, are
    lost or killed; all sources share the workers. No batch takes longer than `longest_s`, no
    session begins earlier than `pause_s` after the one before."""
    names = ("a", "b", "c")
    happened: dict[str, list[Record]] = {}
    captures: list[tuple[float, EmotionEvent]] = []
    arrivals: list[Arrival] = []
    for source in draw(st.permutations(names))[: draw(st.integers(1, len(names)))]:
        records = happened[source] = []
        now_s = draw(st.floats(0.0, 1.0))
        for number in range(draw(st.integers(1, 3))):
            session = f"s{number}"
            count = draw(st.integers(0, 25))
            records.append(said("started", None, now_s, source, session))
            arrivals.append(Arrival(now_s, records[-1]))
            for seq in range(count):
                now_s += draw(st.sampled_from([0.001, 0.04, 0.1, 0.5]))
                records.append(frame(seq, now_s, source, session))
                captures.append((now_s, records[-1]))
            end: SourceState | None = draw(st.sampled_from(["ended", "offline", None]))
            if end is not None:
                records.append(said(end, count, now_s + 0.0005, source, session))
                arrivals.append(Arrival(now_s + 0.0005, records[-1]))
            now_s += pause_s
    captures.sort(key=lambda capture: (capture[0], capture[1].source))
    workers = draw(st.integers(1, 5))
    return happened, arrivals + through_workers(draw, captures, workers, st.floats(0.0, longest_s))
