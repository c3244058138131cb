"""Faces that move as a test says, as a worker would report them: with jitter, and with gaps."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from consumer.people.tracked import TrackedEvent
from contract.event import Box, EmotionEvent, FaceEmotion

WIDTH, HEIGHT = 1280, 720
CALM = {"neutral": 0.9, "happiness": 0.1}

# Media time in seconds -> centre x, centre y, height in pixels; None while there is no such face.
Path = Callable[[float], tuple[float, float, float] | None]


@dataclass(frozen=True)
class Actor:
    """A face. Its `name` is the label of its faces, so that a test knows whose they are.

    detail   sharpness of a face 96 pixels high
    front    hides those of a smaller number that it covers
    """

    name: str
    path: Path
    squareness: float = 0.75
    detail: float | None = 0.07
    detection: float = 0.95
    scores: Callable[[float], dict[str, float]] = lambda at_s: CALM
    front: int = 0


def film(
    actors: Sequence[Actor],
    *,
    fps: float = 15.0,
    seconds: float = 4.0,
    seed: int = 0,
    jitter: float = 0.02,
    missed: float = 0.0,
    session: str = "a",
) -> list[EmotionEvent]:
    """What a worker sees of the actors.

    jitter   standard deviation of each edge of a box, in heights of the face
    missed   share of the faces that the detector does not find
    """
    dice = random.Random(seed)
    events = []
    for seq in range(round(seconds * fps)):
        at_s = seq / fps
        heads: list[tuple[int, Box]] = []  # found or not, they hide what is behind
        faces: list[FaceEmotion] = []
        for actor in sorted(actors, key=lambda actor: -actor.front):
            place = actor.path(at_s)
            box = None if place is None else _box(place, actor.squareness, jitter, dice)
            if box is None:
                continue
            hidden = any(
                front > actor.front and overlap(box, other) > 0.45 for front, other in heads
            )
            heads.append((actor.front, box))
            if hidden or dice.random() < missed:
                continue
            sharpness = None
            if actor.detail is not None:
                sharpness = actor.detail * (box.height / 96) ** 1.5 * dice.uniform(0.8, 1.25)
            face = FaceEmotion(
                box, actor.detection, actor.name, actor.scores(at_s), 0.0, 0.0, sharpness
            )
            faces.append(face)
        dice.shuffle(faces)
        events.append(event(faces, at_s, seq, session))
    return events


def event(
    faces: Iterable[FaceEmotion], at_s: float, seq: int = 0, session: str = "a"
) -> EmotionEvent:
    captured_ns = 1_800_000_000_000_000_000 + round(at_s * 1e9)
    return EmotionEvent(
        "s", session, seq, captured_ns, None, captured_ns, WIDTH, HEIGHT, "m", tuple(faces)
    )


def still(x: float, y: float, height: float = 100.0) -> Path:
    return lambda at_s: (x, y, height)


def walk(x: float, y: float, speed_x: float, height: float = 100.0, speed_y: float = 0.0) -> Path:
    """From (x, y), so many pixels a second."""
    return lambda at_s: (x + speed_x * at_s, y + speed_y * at_s, height)


def during(path: Path, begin_s: float, end_s: float) -> Path:
    """Only from `begin_s` on and before `end_s`."""
    return lambda at_s: path(at_s) if begin_s <= at_s < end_s else None


def without(path: Path, begin_s: float, end_s: float) -> Path:
    """Not from `begin_s` until before `end_s`."""
    return lambda at_s: None if begin_s <= at_s < end_s else path(at_s)


def crossing(seed: int, speed: float, hidden_s: float) -> tuple[list[Actor], float]:
    """Two who cross at `speed` heights a second each, and how long they take: sizes, ways and
    heads that bob differ. The one behind is not found for `hidden_s` at least, around the moment
    when they meet."""
    dice = random.Random(seed)
    near = dice.uniform(80, 140)
    share = dice.uniform(0.3, 0.7)
    seconds = min(6.0, 1000 / (speed * near))
    meet_s, meet_x, meet_y = seconds / 2, dice.uniform(600, 680), dice.uniform(280, 320)
    actors = []
    for name, height, pace, front in (
        ("near", near, 2 * share, 1),
        ("far", near * dice.uniform(0.8, 1.0), -2 * (1 - share), 0),
    ):
        bob, pace_hz, phase = dice.uniform(0, 5), dice.uniform(1, 2), dice.uniform(0, 6)
        y = meet_y + (1 - front) * dice.uniform(-0.3, 0.3) * near

        def path(
            at_s: float,
            *,
            height: float = height,
            pace: float = pace * speed * near,
            y: float = y,
            wave: tuple[float, float, float] = (bob, pace_hz * math.tau, phase),
        ) -> tuple[float, float, float] | None:
            x = meet_x + pace * (at_s - meet_s)
            if not 0 < x < WIDTH:
                return None
            return x, y + wave[0] * math.sin(wave[1] * at_s + wave[2]), height

        actors.append(Actor(name, path, front=front))
    actors[1] = replace(
        actors[1],
        path=without(actors[1].path, meet_s - hidden_s / 2, meet_s + hidden_s / 2),
    )
    return actors, seconds


def tracks_of(seen: Iterable[TrackedEvent]) -> dict[str, list[int]]:
    """Name -> the track of each of its faces that was a person's, in order."""
    tracks: dict[str, list[int]] = {}
    for tracked in seen:
        for person in tracked.people:
            if person.face is not None:
                tracks.setdefault(person.face.label, []).append(person.track)
    return tracks


def _box(
    place: tuple[float, float, float], squareness: float, jitter: float, dice: random.Random
) -> Box | None:
    x, y, height = place
    width = height * squareness
    left, top, right, bottom = (
        round(edge + dice.gauss(0.0, jitter * height))
        for edge in (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    )
    left, top = max(0, left), max(0, top)
    right, bottom = min(WIDTH, right), min(HEIGHT, bottom)
    return Box(left, top, right, bottom) if left < right and top < bottom else None


def overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    across = min(a.right, b.right) - max(a.left, b.left)
    down = min(a.bottom, b.bottom) - max(a.top, b.top)
    if across <= 0 or down <= 0:
        return 0.0
    return across * down / (a.width * a.height + b.width * b.height - across * down)
