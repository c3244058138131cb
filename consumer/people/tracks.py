"""Faces followed from frame to frame."""

from __future__ import annotations

from consumer.people.elapsed import elapsed_s
from consumer.people.gate import GateOptions
from consumer.people.tracked import TrackedEvent, TrackedFace
from contract.event import Box, EmotionEvent


class Tracker:
    """The people of one source: each face is the person whose box it overlaps most."""

    def __init__(self, gate: GateOptions | None = None, *, forget_s: float = 1.0) -> None:
        self._forget_s = forget_s
        self._people: dict[int, tuple[Box, float, int]] = {}
        self._tracks = 0
        self._now_s = 0.0
        self._last: EmotionEvent | None = None

    def see(self, event: EmotionEvent) -> TrackedEvent:
        self._now_s += 0.0 if self._last is None else elapsed_s(self._last, event)
        self._last = event
        people: list[TrackedFace] = []
        free = dict(self._people)
        for face in event.faces:
            overlaps = {track: _overlap(face.box, kept[0]) for track, kept in free.items()}
            track = max(overlaps, key=overlaps.__getitem__, default=0)
            if overlaps.get(track, 0.0) < 0.2:
                self._tracks = track = self._tracks + 1
                voices = {voice for _, _, voice in self._people.values()}
                voice = next(n for n in range(1, len(voices) + 2) if n not in voices)
            else:
                voice = free.pop(track)[2]
            self._people[track] = (face.box, self._now_s, voice)
            people.append(TrackedFace(track, voice, face.box, face))
        for track, (box, seen_s, voice) in free.items():
            if self._now_s - seen_s > self._forget_s:
                del self._people[track]
            else:
                people.append(TrackedFace(track, voice, box, None))
        people.sort(key=lambda person: person.track)
        return TrackedEvent(event, tuple(people), ())


def _overlap(a: Box, b: Box) -> float:
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (a.width * a.height + b.width * b.height - width * height)
