"""One source's signals as a function of time: what was so between two frames. No I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from consumer.people.elapsed import elapsed_s
from consumer.sinks.control import ControlFrame
from contract.affect import Affect
from contract.event import SourceRecord
from contract.smoothed import Person, SmoothedEvent, Transition

# Nobody knows what a face did in a gap this long; a slow ramp across it would be invented.
INTERPOLATE_S = 1.0
STEP_BACK_S = 0.5  # events come in capture order: one so far behind shows a clock that was set


class Resampler:
    """Takes a source's signals in order and answers what was so at any later moment.

    Between two events valence, arousal and scores are interpolated linearly. A person is there from
    the first event that has them until they left. Labels, boxes and `seen` are those of the event
    before. Moments are asked for in order: what lies behind the last one is forgotten.

    Its clock is that of the capture, in nanoseconds since the epoch. With `media` it starts there
    and goes on by media time, as the people in a file lived it (see `elapsed_s`).
    """

    def __init__(self, source: str, *, media: bool = False) -> None:
        self.source = source
        self.late = 0
        self._media = media
        self._events: deque[tuple[int, SmoothedEvent]] = deque()
        self._changes: list[tuple[int, Transition | SourceRecord]] = []
        self._gone: set[int] = set()
        self._end_ns: int | None = None
        self._last: ControlFrame | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no event came yet: there is no time to ask for."""
        return not self._events

    @property
    def last_ns(self) -> int:
        """The time of the newest event."""
        return self._events[-1][0]

    @property
    def is_ended(self) -> bool:
        """Whether the source ended or went dark, so that nothing comes after `known_ns`."""
        return self._end_ns is not None

    @property
    def known_ns(self) -> int:
        """Up to when everything is known."""
        return self.last_ns if self._end_ns is None else max(self._end_ns, self.last_ns)

    @property
    def rest_ns(self) -> int:
        """The time of the last that is known, of events and changes."""
        return max([self.known_ns, *(when_ns for when_ns, _ in self._changes)])

    def is_behind(self, event: SmoothedEvent) -> bool:
        """Whether the clock `event` goes by is behind this one's: of another session, or set."""
        if self._media or self.is_empty:
            return False
        at_ns, last = self._events[-1]
        behind_ns = at_ns - event.captured_at_ns
        return behind_ns > (STEP_BACK_S * 1e9 if event.session == last.session else 0)

    def see(self, event: SmoothedEvent) -> None:
        """Take an event; one a little older than another of its session is counted in `late`."""
        at_ns = event.captured_at_ns
        if self._events:
            last_ns, last = self._events[-1]
            at_ns = self._after(last_ns, last, event)
            if at_ns < last_ns:
                self.late += 1
                return
            if self._media:  # a change carries no media time: it is that of its event
                self._changes = [
                    (at_ns if change.at_ns == event.captured_at_ns else when_ns, change)
                    for when_ns, change in self._changes
                ]
        self._events.append((at_ns, event))
        self._end_ns = None  # a new session

    def mark(self, change: Transition | SourceRecord) -> None:
        """Take a transition or a source record; needs an event before it."""
        at_ns = change.at_ns
        if self._media:
            last_ns, last = self._events[-1]
            at_ns = last_ns + max(0, at_ns - last.captured_at_ns)
        self._changes.append((at_ns, change))
        if isinstance(change, SourceRecord) and change.state != "started":
            self._end_ns = at_ns

    def at(self, at_ns: int) -> ControlFrame:
        """What was so at `at_ns`, and all changes until then that were not told yet."""
        events = self._events
        while len(events) > 1 and events[1][0] <= at_ns:
            events.popleft()
        told = tuple(change for when_ns, change in self._changes if when_ns <= at_ns)
        if told:
            self._changes = [each for each in self._changes if each[0] > at_ns]
            for change in told:
                self._note(change)
        before_ns, before = events[0]
        people, room = before.people, before.room
        if self._gone:
            self._gone.intersection_update(person.track for person in people)
            people = tuple(person for person in people if person.track not in self._gone)
        if len(events) > 1:
            after_ns, after = events[1]
            if after.session == before.session and after_ns - before_ns <= INTERPOLATE_S * 1e9:
                weight = max(0, at_ns - before_ns) / (after_ns - before_ns)
                others = {person.track: person for person in after.people}
                people = tuple(
                    person if (other := others.get(person.track)) is None
                    else _between(person, other, weight)
                    for person in people
                )  # fmt: skip
                room = _mood_between(room, after.room, weight)
        self._last = ControlFrame(
            self.source, at_ns, people, room if people else None, told, at_ns > self.known_ns
        )
        return self._last

    def hold(self) -> ControlFrame | None:
        """The last frame once more, without its changes; None before the first."""
        if self._last is None:
            return None
        return replace(self._last, changes=(), held=True)

    def rest(self) -> ControlFrame:
        """The last that is known, and every change that was not told."""
        last_ns = 0 if self._last is None else self._last.at_ns  # later than is known, if held
        return self.at(max(self.rest_ns, last_ns))

    def _after(self, last_ns: int, last: SmoothedEvent, event: SmoothedEvent) -> int:
        if self._media:
            return last_ns + round(elapsed_s(last, event) * 1e9)
        return event.captured_at_ns

    def _note(self, change: Transition | SourceRecord) -> None:
        if isinstance(change, SourceRecord):
            return
        if change.change == "person_left":
            self._gone.add(change.track)
        elif change.change == "person_entered":
            self._gone.discard(change.track)


def _between(before: Person, after: Person, weight: float) -> Person:
    scores = {
        label: score + weight * (after.scores.get(label, 0.0) - score)
        for label, score in before.scores.items()
    }
    valence = before.valence + weight * (after.valence - before.valence)
    arousal = before.arousal + weight * (after.arousal - before.arousal)
    return replace(before, scores=scores, valence=valence, arousal=arousal)


def _mood_between(before: Affect | None, after: Affect | None, weight: float) -> Affect | None:
    if before is None or after is None:
        return before
    return Affect(
        before.valence + weight * (after.valence - before.valence),
        before.arousal + weight * (after.arousal - before.arousal),
    )
