"""What the events add up to. No I/O; the time is passed in."""

from __future__ import annotations

from array import array
from collections import Counter, deque
from dataclasses import dataclass

from consumer.percentiles import Percentiles
from contract.event import EmotionEvent, Record, SourceRecord, SourceState
from contract.smoothed import Person, Signal, SmoothedEvent, Transition

WINDOW_S = 5.0


@dataclass(frozen=True, slots=True)
class Window:
    """The last `WINDOW_S` seconds of one source, or less if it has not run for so long.

    shares   label -> part of all faces whose most probable emotion it was; sums to 1 if any
    """

    frames_per_s: float
    latency: Percentiles | None
    shares: dict[str, float]


@dataclass(slots=True)
class SessionTally:
    """One run of a producer on one source.

    expected   frames its container announces, None if unknown
    captured   frames the producer says it took, once it has ended or gone offline
    """

    events: int = 0
    expected: int | None = None
    captured: int | None = None

    @property
    def total(self) -> int | None:
        """How many events there will be, as well as is known."""
        return self.captured if self.captured is not None else self.expected


class SourceTally:
    """Everything counted about one source."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.state: SourceState = "started"
        self.sessions: dict[str, SessionTally] = {}
        self.faces = 0
        self.labels: Counter[str] = Counter()
        self.latencies_s = array("d")
        self.people: tuple[Person, ...] = ()  # from left to right
        self.latest: EmotionEvent | None = None
        self.first_captured_at_ns: int | None = None
        self.last_published_at_ns = 0
        self._started_s: float | None = None
        # (arrival in monotonic seconds, latency in seconds, labels)
        self._recent: deque[tuple[float, float, tuple[str, ...]]] = deque()

    @property
    def events(self) -> int:
        return sum(session.events for session in self.sessions.values())

    @property
    def total(self) -> int | None:
        """Frames to expect in all sessions so far; None if one does not know."""
        totals = [session.total for session in self.sessions.values()]
        return None if None in totals else sum(total for total in totals if total is not None)

    @property
    def captured(self) -> int:
        """Frames taken so far, as far as is known here: at least one for every event."""
        return sum(
            session.events if session.captured is None else session.captured
            for session in self.sessions.values()
        )

    @property
    def is_over(self) -> bool:
        """It has ended, and every frame it took has its event here."""
        return self.state == "ended" and self.events >= self.captured

    @property
    def elapsed_s(self) -> float:
        """From the capture of the first frame to the publication of the last event."""
        if self.first_captured_at_ns is None:
            return 0.0
        return (self.last_published_at_ns - self.first_captured_at_ns) / 1e9

    @property
    def frames_per_s(self) -> float:
        """Over the whole run."""
        return self.events / self.elapsed_s if self.elapsed_s > 0 else 0.0

    def add(self, event: EmotionEvent, now_s: float) -> None:
        """Count one event that arrived at monotonic `now_s`."""
        self.sessions.setdefault(event.session, SessionTally()).events += 1
        labels = tuple(face.label for face in event.faces)
        self.faces += len(labels)
        self.labels.update(labels)
        self.latencies_s.append(event.latency_s)
        if self.latest is None or event.captured_at_ns >= self.latest.captured_at_ns:
            self.latest = event
        if self.first_captured_at_ns is None:
            self.first_captured_at_ns = event.captured_at_ns
            self._started_s = now_s
        self.first_captured_at_ns = min(self.first_captured_at_ns, event.captured_at_ns)
        self.last_published_at_ns = max(self.last_published_at_ns, event.published_at_ns)
        self._recent.append((now_s, event.latency_s, labels))
        self._trim(now_s)

    def see(self, signal: SmoothedEvent | Transition) -> None:
        """Take note of who is there."""
        if isinstance(signal, SmoothedEvent):
            self.people = tuple(sorted(signal.people, key=lambda person: person.box.left))
        elif signal.change == "person_left":
            self.people = tuple(p for p in self.people if p.track != signal.track)

    def mark(self, record: SourceRecord) -> None:
        """Take note of a start or an end."""
        session = self.sessions.setdefault(record.session, SessionTally())
        self.state = record.state
        if record.state == "started":
            session.expected = record.frames
        else:
            session.captured = record.frames

    def window(self, now_s: float) -> Window:
        """The recent past as seen at monotonic `now_s`."""
        self._trim(now_s)
        labels = Counter(label for _, _, seen in self._recent for label in seen)
        faces = sum(labels.values())
        return Window(
            frames_per_s=self._rate(now_s),
            latency=Percentiles.of(latency for _, latency, _ in self._recent),
            shares={label: count / faces for label, count in labels.items()},
        )

    def left_s(self, now_s: float) -> float | None:
        """Seconds until the last expected event at the present rate; None if that is unknown."""
        rate = self._rate(now_s)
        if self.total is None or rate <= 0:
            return None
        return max(0, self.total - self.events) / rate

    def _rate(self, now_s: float) -> float:
        if self._started_s is None or not self._recent:
            return 0.0
        # A window of less than half a second says little: its first batch alone would be a record.
        return len(self._recent) / max(0.5, min(WINDOW_S, now_s - self._started_s))

    def _trim(self, now_s: float) -> None:
        while self._recent and self._recent[0][0] < now_s - WINDOW_S:
            self._recent.popleft()


class Tally:
    """All sources together."""

    def __init__(self) -> None:
        self.sources: dict[str, SourceTally] = {}

    def add(self, record: Record, now_s: float) -> None:
        """Count a record that arrived at monotonic `now_s`."""
        source = self.sources.get(record.source)
        if source is None:
            source = self.sources[record.source] = SourceTally(record.source)
        if isinstance(record, SourceRecord):
            source.mark(record)
        else:
            source.add(record, now_s)

    def see(self, signal: Signal) -> None:
        """Take note of who is there; source records are for `add`."""
        if not isinstance(signal, SourceRecord) and signal.source in self.sources:
            self.sources[signal.source].see(signal)

    @property
    def events(self) -> int:
        return sum(source.events for source in self.sources.values())

    @property
    def captured(self) -> int:
        return sum(source.captured for source in self.sources.values())

    @property
    def faces(self) -> int:
        return sum(source.faces for source in self.sources.values())

    @property
    def labels(self) -> Counter[str]:
        return sum((source.labels for source in self.sources.values()), Counter())

    @property
    def latency(self) -> Percentiles | None:
        return Percentiles.of(
            latency for source in self.sources.values() for latency in source.latencies_s
        )

    @property
    def elapsed_s(self) -> float:
        """From the first capture to the last publication of all sources."""
        firsts = [
            source.first_captured_at_ns
            for source in self.sources.values()
            if source.first_captured_at_ns is not None
        ]
        if not firsts:
            return 0.0
        last = max(source.last_published_at_ns for source in self.sources.values())
        return (last - min(firsts)) / 1e9

    @property
    def frames_per_s(self) -> float:
        return self.events / self.elapsed_s if self.elapsed_s > 0 else 0.0


def share_of(person: Person) -> float:
    """The smoothed probability of the person's label."""
    return person.scores.get(person.label, 0.0)
