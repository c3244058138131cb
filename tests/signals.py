"""Signals made by hand, and a loop that plays them by a clock of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consumer.sinks.control import ControlFrame
from consumer.sinks.playout import Playout
from contract.affect import Affect, valence_arousal
from contract.event import Box, SourceRecord, SourceState
from contract.smoothed import Change, Person, Signal, SmoothedEvent, Transition

START_NS = 1_795_522_937_000_000_000


def at(seconds: float) -> int:
    """A capture time, so many seconds after the start."""
    return START_NS + round(seconds * 1e9)


def person(
    track: int = 1,
    happiness: float = 0.5,
    *,
    voice: int | None = None,
    label: str = "happiness",
    scores: Mapping[str, float] | None = None,
) -> Person:
    scores = scores or {"neutral": 1.0 - happiness, "happiness": happiness}
    valence, arousal = valence_arousal(scores)
    return Person(
        track, voice or track, Box(0, 0, 50, 60), True, label, scores, valence, arousal
    )  # fmt: skip


def event(
    seconds: float,
    *people: Person,
    source: str = "lobby",
    session: str = "s1",
    pts_s: float | None = None,
) -> SmoothedEvent:
    """What was so `seconds` after the start; the room is the mean of the people."""
    room = None
    if people:
        room = Affect(
            sum(each.valence for each in people) / len(people),
            sum(each.arousal for each in people) / len(people),
        )
    pts_ns = None if pts_s is None else round(pts_s * 1e9)
    return SmoothedEvent(
        source, session, max(0, round(seconds * 100)), at(seconds), pts_ns, at(seconds), 640, 480,
        people, room,
    )  # fmt: skip


def transition(
    seconds: float,
    change: Change = "person_entered",
    track: int = 1,
    *,
    source: str = "lobby",
    label: str = "happiness",
    before: str | None = None,
) -> Transition:
    return Transition(source, "s1", change, at(seconds), track, track, label, before)


def record(seconds: float, state: SourceState, *, source: str = "lobby") -> SourceRecord:
    return SourceRecord(source, "s1", state, at(seconds))


@dataclass(frozen=True, slots=True)
class Played:
    """A frame, and when it was played."""

    now_s: float
    frame: ControlFrame


def play(
    playout: Playout, arrivals: Iterable[tuple[float, Signal]], until_s: float
) -> list[Played]:
    """What a playout gives when it is called exactly when it wants to be."""
    played = []

    def tick(now_s: float) -> None:
        while (due_s := playout.due_s()) is not None and due_s <= now_s:
            played.extend(Played(due_s, frame) for frame in playout.tick(due_s))

    for now_s, signal in arrivals:
        if now_s > until_s:
            break
        tick(now_s)
        played += [Played(now_s, frame) for frame in playout.add(signal, now_s)]
    tick(until_s)
    return played


def intervals_s(played: Sequence[Played]) -> list[float]:
    return [b.now_s - a.now_s for a, b in itertools.pairwise(played)]
