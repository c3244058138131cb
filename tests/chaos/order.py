"""In which order a reader was given events, against what it is promised. No I/O.

Of one partition a reader gets the events as they lie in their stream. Of a source that moves it
gets the old session to its end before the new one. Two sessions of a source that follow each other
in one partition are no move: workers go on with what is left of the first while frames of the
second come, and several workers may settle them in any order, as they may two frames of a session.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.evidence import Evidence, Session, session_of


@dataclass(frozen=True, slots=True)
class OrderFound:
    """faults     what was not as promised
    moves      how often a source went from one partition to another
    overlaps   how often a session began before the one before it, in the same partition, was over
    """

    faults: Sequence[str]
    moves: int
    overlaps: int


def look_at_order(found: Evidence, handed_out: Sequence[str]) -> OrderFound:
    """`handed_out` are the ids of all events that a reader without a group got, as they came."""
    place = found.place_of_sessions()
    faults = []
    by_partition: defaultdict[int, list[str]] = defaultdict(list)
    spans: dict[Session, tuple[int, int]] = {}  # where its events begin and end
    for at, event in enumerate(handed_out):
        session = session_of(event)
        by_partition[place.get(session, -1)].append(event)
        spans[session] = (spans.get(session, (at, at))[0], at)
    for number, partition in enumerate(found.partitions):
        got = by_partition.pop(number, [])
        if got != list(partition.events):
            faults.append(
                f"partition {number}: {len(got)} events handed out, {len(partition.events)} in the "
                f"stream, the first difference at {_first_difference(got, partition.events)}"
            )
    faults += [
        f"{len(events)} events of no session, {events[:3]}" for events in by_partition.values()
    ]
    moves = overlaps = 0
    for sessions in _sessions_by_source(found).values():
        moves += sum(place[before] != place[after] for before, after in pairwise(sessions))
        seen = [session for session in sessions if session in spans]
        for later, after in enumerate(seen):
            for before in seen[:later]:
                if spans[before][1] < spans[after][0]:
                    continue
                if place[before] != place[after]:
                    faults.append(
                        f"{after} in partition {place[after]} began before {before} in partition "
                        f"{place[before]} was over, by {_overlap(handed_out, before, after)} events"
                    )
                else:
                    overlaps += 1
    return OrderFound(faults, moves, overlaps)


def _sessions_by_source(found: Evidence) -> dict[str, list[Session]]:
    """The sessions of each source in the order they began in: by the clock of their producers,
    which is that of one machine."""
    sessions: defaultdict[str, list[Session]] = defaultdict(list)
    for record in sorted(found.records, key=lambda record: record.at_ns):
        if record.state == "started":
            sessions[record.source].append((record.source, record.session))
    return sessions


def _overlap(handed_out: Sequence[str], before: Session, after: Session) -> int:
    """How many events of the session before came after the first one of the next."""
    both = [s for s in map(session_of, handed_out) if s in (before, after)]
    return sum(session == before for session in both[both.index(after) :])


def _first_difference(left: Sequence[str], right: Sequence[str]) -> int:
    for at, (mine, theirs) in enumerate(zip(left, right, strict=False)):
        if mine != theirs:
            return at
    return min(len(left), len(right))
