"""Who is in the picture now: faces followed from frame to frame and smoothed for the eye.

For display only: no I/O, and time is what the events carry. Event files and summaries hold the
emotions as they were measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from contract.event import EmotionEvent, FaceEmotion

HALF_LIFE_S = (
    0.4  # of a past score in what is shown: numbers that jump ten times a second are noise
)
FORGET_AFTER_S = 0.6  # a face missed in a few frames has not left


@dataclass(slots=True)
class Person:
    """One face followed over frames; `scores` are smoothed and sum to 1."""

    centre: tuple[float, float]
    width: float
    scores: dict[str, float]
    seen_s: float

    @property
    def label(self) -> str:
        return max(self.scores, key=lambda label: self.scores[label])

    @property
    def share(self) -> float:
        """The smoothed probability of `label`."""
        return self.scores[self.label]


class People:
    """The people of one source."""

    def __init__(self) -> None:
        self._people: list[Person] = []
        self._newest_ns = -1

    def see(self, event: EmotionEvent) -> None:
        """Take in a frame's faces. Several workers may deliver frames out of order; a frame older
        than what is shown already changes nothing."""
        if event.captured_at_ns < self._newest_ns:
            return
        self._newest_ns = event.captured_at_ns
        now_s = event.captured_at_ns / 1e9
        unmatched = [p for p in self._people if now_s - p.seen_s <= FORGET_AFTER_S]
        people = []
        for face in event.faces:
            person = _nearest(face, unmatched)
            if person is None:
                people.append(Person(_centre(face), face.box.width, dict(face.scores), now_s))
                continue
            unmatched.remove(person)
            _follow(person, face, now_s)
            people.append(person)
        self._people = people + unmatched

    def present(self) -> list[Person]:
        """From left to right."""
        return sorted(self._people, key=lambda person: person.centre[0])

    def clear(self) -> None:
        """The source ended or went dark: nobody is there any more."""
        self._people = []


def _centre(face: FaceEmotion) -> tuple[float, float]:
    return (face.box.left + face.box.right) / 2, (face.box.top + face.box.bottom) / 2


def _nearest(face: FaceEmotion, people: list[Person]) -> Person | None:
    """The person this face most likely is: the nearest one within a face's width."""
    x, y = _centre(face)
    best, best_distance = None, max(face.box.width, 1.0)
    for person in people:
        distance = ((person.centre[0] - x) ** 2 + (person.centre[1] - y) ** 2) ** 0.5
        if distance < best_distance:
            best, best_distance = person, distance
    return best


def _follow(person: Person, face: FaceEmotion, now_s: float) -> None:
    keep = 0.5 ** ((now_s - person.seen_s) / HALF_LIFE_S)
    labels = person.scores.keys() | face.scores.keys()
    person.scores = {
        label: keep * person.scores.get(label, 0.0) + (1 - keep) * face.scores.get(label, 0.0)
        for label in labels
    }
    person.centre = _centre(face)
    person.width = face.box.width
    person.seen_s = now_s
