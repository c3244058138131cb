"""What the page shows, as plain values ready for JSON. No I/O; the time is passed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from consumer.percentiles import Percentiles
from consumer.status import SILENT_AFTER_S, Status
from consumer.view.windows import Window
from contract.affect import COORDINATES
from contract.event import SourceRecord
from contract.palette import hex_colour_of
from contract.smoothed import Person, RejectedFace, Signal, SmoothedEvent

MOST_SOURCES = 64  # on one page; the others are counted
FORGET_ENDED_S = 600.0  # a file that is over stays on the page for so long
_NUMBERS_EVERY_S = 1.0  # rates and latencies: more often nobody can read them
_MOST_LABELS = 32


@dataclass(slots=True)
class _Source:
    """One card of the page. `since_ns` is when it ended or went offline, wall clock."""

    name: str
    state: str  # as in `SourceRecord`
    since_ns: int
    session: str
    heard_s: float  # monotonic: the last event, or when we first knew of it
    event: SmoothedEvent | None = None
    window: Window = field(default_factory=Window)
    rate: float = 0.0
    latencies: tuple[float | None, float | None] = (None, None)


class Board:
    """The state of a system as its signals and its status tell it.

    `now_s` is monotonic, `now_ns` the wall clock. The caller sees to it that one thread at a time
    is in here.

    server       of the system, without its password
    coordinates  of the labels in the plane; as in `contract.affect`
    """

    def __init__(
        self, server: str, coordinates: Mapping[str, tuple[float, float]] = COORDINATES
    ) -> None:
        self._server = server
        self._coordinates = coordinates
        self._sources: dict[str, _Source] = {}
        self._unseen: set[str] = set()  # sources beyond `MOST_SOURCES`
        self._labels: dict[str, dict[str, Any]] = {}
        self._status: Status | None = None
        self._trouble: tuple[str, int] | None = None  # what is wrong with Redis, since when
        self._counted_s = float("-inf")
        self._total: tuple[float, float | None, float | None] = (0.0, None, None)

    @property
    def names(self) -> frozenset[str]:
        """The sources on the page."""
        return frozenset(self._sources)

    @property
    def playing(self) -> frozenset[str]:
        """Those that are up."""
        return frozenset(s.name for s in self._sources.values() if s.state == "started")

    def take(self, signal: Signal, now_s: float) -> None:
        """A signal came."""
        if isinstance(signal, SmoothedEvent):
            self._take_event(signal, now_s)
        elif isinstance(signal, SourceRecord):
            self._mark(signal.source, signal.state, signal.session, signal.at_ns, now_s)

    def see_status(self, status: Status, now_s: float) -> None:
        """Redis has answered."""
        self._trouble = None
        self._status = status
        for found in status.sources:
            is_old = found.state == "ended" and status.age_s(found.at_ns) > FORGET_ENDED_S
            if found.source in self._sources or not is_old:
                self._mark(found.source, found.state, found.session, found.at_ns, now_s)
        for name in [
            source.name
            for source in self._sources.values()
            if source.state == "ended" and status.age_s(source.since_ns) > FORGET_ENDED_S
        ]:
            del self._sources[name]

    def see_trouble(self, detail: str, now_ns: int) -> None:
        """Redis has not answered, or refused."""
        since_ns = now_ns if self._trouble is None else self._trouble[1]
        self._trouble = (detail, since_ns)

    def state(self, now_s: float, now_ns: int, pictures: Mapping[str, SmoothedEvent]) -> Any:
        """Everything, for JSON: times in seconds before now, latencies in milliseconds, rounded.

        pictures   source -> the event of the picture to show
        """
        if now_s - self._counted_s >= _NUMBERS_EVERY_S:
            self._count(now_s)
        rate, p50_s, p95_s = self._total
        return {
            "server": self._server,
            "redis": self._redis(now_ns),
            "labels": self._labels,
            "rate": round(rate, 1),
            "latency": [_ms(p50_s), _ms(p95_s)],
            **self._counts(),
            "left_out": len(self._unseen),
            "sources": [
                self._card(source, now_s, now_ns, pictures.get(source.name))
                for source in sorted(self._sources.values(), key=lambda source: source.name)
            ],
        }

    def _take_event(self, event: SmoothedEvent, now_s: float) -> None:
        source = self._find(event.source, event.session, now_s)
        if source is None:
            return
        if source.session != event.session or source.state == "offline":
            source.state = "started"  # its record is on the way, or was before our time
        source.session = event.session
        source.event = event
        source.heard_s = now_s
        source.window.add((event.published_at_ns - event.captured_at_ns) / 1e9, now_s)
        for person in event.people:
            if not person.scores.keys() <= self._labels.keys():
                self._learn(person)

    def _learn(self, person: Person) -> None:
        for label in person.scores:
            if label not in self._labels and len(self._labels) < _MOST_LABELS:
                self._labels[label] = {
                    "colour": hex_colour_of(label),
                    "at": self._coordinates.get(label),
                }

    def _find(self, name: str, session: str, now_s: float) -> _Source | None:
        source = self._sources.get(name)
        if source is None:
            if len(self._sources) >= MOST_SOURCES:
                if len(self._unseen) < 10 * MOST_SOURCES:
                    self._unseen.add(name)
                return None
            source = self._sources[name] = _Source(name, "started", 0, session, now_s)
        return source

    def _mark(self, name: str, state: str, session: str, at_ns: int, now_s: float) -> None:
        source = self._find(name, session, now_s)
        if source is None or at_ns < source.since_ns:
            return  # what we know is newer
        if state == "started" and (source.state != state or source.session != session):
            source.heard_s = now_s
        if state != "started":
            source.event = None  # nobody is seen any more
        source.state, source.session = state, session
        source.since_ns = at_ns

    def _count(self, now_s: float) -> None:
        self._counted_s = now_s
        everything: list[float] = []
        for source in self._sources.values():
            latencies_s = source.window.latencies_s(now_s)
            source.rate = source.window.rate(now_s)
            source.latencies = _p50_p95(latencies_s)
            everything += latencies_s
        rate = sum(source.rate for source in self._sources.values())
        self._total = (rate, *_p50_p95(everything))

    def _redis(self, now_ns: int) -> dict[str, Any]:
        if self._trouble is None:
            return {"state": "unknown" if self._status is None else "up"}
        detail, since_ns = self._trouble
        return {"state": "away", "for": _age_s(since_ns, now_ns), "detail": detail}

    def _counts(self) -> dict[str, Any]:
        if self._status is None:
            return {"backlog": None, "workers": None, "dead": None}
        workers = [w for w in self._status.workers if w.idle_s <= SILENT_AFTER_S]
        return {
            "backlog": self._status.total("backlog"),
            "workers": len(workers),
            "dead": self._status.total("dead_letters"),
        }

    def _card(
        self, source: _Source, now_s: float, now_ns: int, picture: SmoothedEvent | None
    ) -> dict[str, Any]:
        event = source.event
        is_up = source.state == "started"
        return {
            "name": source.name,
            "state": "up" if is_up else source.state,
            "for": None if is_up else _age_s(source.since_ns, now_ns),
            "silent": round(max(0.0, now_s - source.heard_s), 1) if is_up else None,
            "rate": round(source.rate, 1),
            "latency": [_ms(latency_s) for latency_s in source.latencies],
            "people": [] if event is None else [_person(person) for person in event.people],
            "room": None
            if event is None or event.room is None
            else [round(event.room.valence, 3), round(event.room.arousal, 3)],
            "picture": None
            if picture is None
            else {
                "id": picture.id,
                "size": [picture.width, picture.height],
                "people": [
                    {
                        "track": person.track,
                        "label": person.label,
                        "box": person.box.to_list(),
                        "seen": person.seen,
                    }
                    for person in picture.people
                ],
                "rejected": [_rejected(face) for face in picture.rejected],
            },
        }


def _person(person: Person) -> dict[str, Any]:
    return {
        "track": person.track,
        "voice": person.voice,
        "label": person.label,
        "seen": person.seen,
        "scores": {label: round(score, 3) for label, score in person.scores.items()},
        "at": [round(person.valence, 3), round(person.arousal, 3)],
    }


def _rejected(face: RejectedFace) -> dict[str, Any]:
    return {"reason": face.reason, "box": face.box.to_list()}


def _ms(latency_s: float | None) -> int | None:
    return None if latency_s is None else round(latency_s * 1000)


def _age_s(since_ns: int, now_ns: int) -> float:
    """Never negative: clocks of two machines differ."""
    return round(max(0, now_ns - since_ns) / 1e9, 1)


def _p50_p95(latencies_s: Iterable[float]) -> tuple[float | None, float | None]:
    found = Percentiles.of(latencies_s)
    return (None, None) if found is None else (found.p50_s, found.p95_s)
