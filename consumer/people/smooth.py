"""Steady emotions: a time-constant filter on the scores, hysteresis and a dwell on the label."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from consumer.people.elapsed import continued, elapsed_s
from consumer.people.room import Room
from consumer.people.tracked import TrackedEvent, TrackedFace
from contract.affect import COORDINATES, valence_arousal
from contract.event import EmotionEvent, SourceRecord
from contract.smoothed import Change, Person, Signal, SmoothedEvent, Transition

# The weight of a first sighting: as if it had been that way for so long. It keeps one odd frame
# from deciding a whole time constant.
_FIRST_S = 0.04
_FORGOTTEN = 1e-6  # the share of an emotion that no model gave for 14 time constants


@dataclass(frozen=True, slots=True)
class SmoothOptions:
    """How steady.

    smoothing_s   time constant: this long after a sudden change 63 % of it has arrived; 0 = raw
    dwell_s       a label stays at least so long; 0 = it is the most probable one at any moment
    hysteresis    with a dwell, by how much another emotion must be more probable to take over
    coordinates   label -> (valence, arousal)
    """

    smoothing_s: float = 0.4
    dwell_s: float = 1.0
    hysteresis: float = 0.1
    coordinates: Mapping[str, tuple[float, float]] = field(default_factory=lambda: COORDINATES)


class Smoother:
    """Makes a source's tracked events steady; events come in capture order. No I/O.

    The filter is exponential in time, not in frames, and exact for any spacing (the discretised RC
    low-pass: a sample that stood for `dt` seconds weighs ``1 - exp(-dt / time constant)``): 5 and
    30 frames a second feel the same. The weights are normalised, as in Adam's bias correction
    (Kingma & Ba, 2015), so that a person's first frames are averaged and don't count as the past.
    """

    def __init__(self, options: SmoothOptions | None = None) -> None:
        self._options = options or SmoothOptions()
        self._people: dict[int, _Steady] = {}
        self._room = Room(self._options.smoothing_s)
        self._last: EmotionEvent | None = None
        self._now_s = 0.0  # on the clock of the media, from the first event

    @property
    def is_empty(self) -> bool:
        """Whether nobody is there."""
        return not self._people

    def see(self, tracked: TrackedEvent) -> list[SmoothedEvent | Transition]:
        """The steady event, and before it the transitions at this frame."""
        event = tracked.event
        dt_s = 0.0 if self._last is None else elapsed_s(self._last, event)
        self._last = event
        self._now_s += dt_s
        signals = self._leave(event, present={face.track for face in tracked.people})
        people = []
        for face in tracked.people:
            person = self._people.get(face.track)
            if person is None:
                if face.face is None:  # it left while nothing came, and was not seen since
                    continue
                person = self._people[face.track] = _Steady(face, self._now_s)
            before = person.label
            if face.face is not None:
                person.take(face.face.scores, self._now_s, self._options)
            person.voice = face.voice
            if before != person.label:
                change: Change = "emotion_changed" if before else "person_entered"
                signals.append(
                    Transition(
                        event.source, event.session, change, event.captured_at_ns,
                        face.track, face.voice, person.label, before or None,
                    )
                )  # fmt: skip
            people.append(self._person(face, person))
        room = self._room.mood(people, dt_s)
        steady = SmoothedEvent(
            event.source, event.session, event.seq, event.captured_at_ns, event.pts_ns,
            event.published_at_ns, event.width, event.height, tuple(people), room,
            tracked.rejected,
        )  # fmt: skip
        return [*signals, steady]

    def mark(self, record: SourceRecord) -> None:
        """The state of the source changed. When it ends or goes dark, `end` says who left."""
        self._last = continued(self._last, record)

    def end(self, at_ns: int) -> list[Transition]:
        """Everybody leaves: the source ended, went dark, or nothing came from it for too long."""
        left = [] if self._last is None else self._leave(self._last, present=set(), at_ns=at_ns)
        self._room.clear()
        return left

    def _leave(
        self, event: EmotionEvent, present: set[int], at_ns: int | None = None
    ) -> list[Transition]:
        gone = [track for track in self._people if track not in present]
        at_ns = event.captured_at_ns if at_ns is None else at_ns
        left = []
        for track in gone:
            person = self._people.pop(track)
            left.append(
                Transition(
                    event.source, event.session, "person_left", at_ns, track, person.voice,
                    person.label,
                )
            )  # fmt: skip
        return left

    def _person(self, face: TrackedFace, steady: _Steady) -> Person:
        return Person(
            face.track, face.voice, face.box, face.face is not None, steady.label, steady.scores,
            *steady.affect,
        )  # fmt: skip


class _Steady:
    """One person's filter and label; `affect` is valence and arousal."""

    __slots__ = (
        "_labels", "_mass", "_seen_s", "_since_s", "_sums", "affect", "label", "scores", "voice",
    )  # fmt: skip

    def __init__(self, face: TrackedFace, now_s: float) -> None:
        self.voice = face.voice
        self.label = ""
        self.scores: dict[str, float] = {}
        self.affect = (0.0, 0.0)
        self._labels: tuple[str, ...] = ()
        self._sums: list[float] = []
        self._mass = 0.0
        self._seen_s = now_s - _FIRST_S
        self._since_s = -math.inf

    def take(self, scores: Mapping[str, float], now_s: float, options: SmoothOptions) -> None:
        dt_s = now_s - self._seen_s
        self._seen_s = now_s
        keep = math.exp(-dt_s / options.smoothing_s) if options.smoothing_s > 0 else 0.0
        new = 1.0 - keep
        if self._labels != tuple(scores):
            self._learn(scores)
            scores = {label: scores.get(label, 0.0) for label in self._labels}
        # Lists, not dicts: this is done for every face of every camera.
        self._sums = [
            keep * total + new * p for total, p in zip(self._sums, scores.values(), strict=True)
        ]
        self._mass = mass = keep * self._mass + new
        if mass > 0.0:
            self.scores = {
                label: total / mass for label, total in zip(self._labels, self._sums, strict=True)
            }
        else:  # two frames at the same moment
            self.scores = dict(scores)
        self.affect = valence_arousal(self.scores, options.coordinates)
        self._decide(now_s, options)

    def _learn(self, scores: Mapping[str, float]) -> None:
        """A first face; or another model, with other emotions, took over. Its own fade out."""
        before = {
            label: total
            for label, total in zip(self._labels, self._sums, strict=True)
            if total > _FORGOTTEN * self._mass
        }
        self._labels = (*scores, *(label for label in before if label not in scores))
        self._sums = [before.get(label, 0.0) for label in self._labels]

    def _decide(self, now_s: float, options: SmoothOptions) -> None:
        best = max(self.scores, key=self.scores.__getitem__)
        if best == self.label:
            return
        if self.label and options.dwell_s > 0:
            lead = self.scores[best] - self.scores.get(self.label, 0.0)
            if now_s - self._since_s < options.dwell_s or lead < options.hysteresis:
                return
        self.label = best
        self._since_s = now_s


def smoothed(
    records: Iterable[TrackedEvent | SourceRecord], options: SmoothOptions | None = None
) -> Iterator[Signal]:
    """Signals of tracked events of any number of sources, each in capture order."""
    smoothers: dict[str, Smoother] = {}
    for record in records:
        if isinstance(record, TrackedEvent):
            smoother = smoothers.get(record.event.source)
            if smoother is None:
                smoother = smoothers[record.event.source] = Smoother(options)
            yield from smoother.see(record)
            continue
        if known := smoothers.get(record.source):
            known.mark(record)
        if record.is_end and (ended := smoothers.pop(record.source, None)):
            yield from ended.end(record.at_ns)
        yield record
