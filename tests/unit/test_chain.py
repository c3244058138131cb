"""From records to signals: sources apart, silence, the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from consumer.chain import Chain, ChainOptions
from consumer.people.elapsed import continued, elapsed_s
from contract.event import Box, EmotionEvent, FaceEmotion, Record, SourceRecord
from contract.smoothed import Signal, SmoothedEvent, Transition

SECOND = 1_000_000_000
SCORES = {"neutral": 0.2, "happiness": 0.8}
START_S = 100.0


def face(left: int = 100) -> FaceEmotion:
    return FaceEmotion(Box(left, 50, left + 90, 160), 0.99, "happiness", SCORES, 0.6, 0.4, 0.1)


def event(source: str, seq: int, *faces: FaceEmotion, session: str = "s") -> EmotionEvent:
    at_ns = 10**18 + seq * SECOND // 10
    return EmotionEvent(source, session, seq, at_ns, None, at_ns, 640, 480, "m", faces)


def record(source: str, state: str, frames: int | None = None, session: str = "s") -> SourceRecord:
    return SourceRecord(source, session, state, 10**18, frames)  # type: ignore[arg-type]


def run(chain: Chain, records: Sequence[Record], start_s: float = START_S) -> list[Signal]:
    """Every record 0.1 s after the one before."""
    out = []
    for number, item in enumerate(records):
        out += chain.put(item, start_s + number / 10)
    return out


def smoothed(found: Sequence[Signal], source: str) -> list[SmoothedEvent]:
    return [s for s in found if isinstance(s, SmoothedEvent) and s.source == source]


def changes(found: Sequence[Signal]) -> list[tuple[str, str]]:
    return [(s.source, s.change) for s in found if isinstance(s, Transition)]


def test_every_event_becomes_one_smoothed_event() -> None:
    records = [record("a", "started"), *(event("a", seq, face()) for seq in range(20))]
    chain = Chain()
    found = run(chain, [*records, record("a", "ended", 20)])
    assert [s.seq for s in smoothed(found, "a")] == list(range(20))
    assert changes(found) == [("a", "person_entered"), ("a", "person_left")]
    assert found[0] == records[0]
    assert isinstance(found[-1], SourceRecord)
    assert found[-1].state == "ended"
    last = smoothed(found, "a")[-1]
    assert last.people[0].label == "happiness"
    assert last.room is not None
    assert last.room.valence == pytest.approx(last.people[0].valence)


def test_sources_have_people_of_their_own() -> None:
    records: list[Record] = [record("a", "started"), record("b", "started")]
    for seq in range(10):
        records += [event("a", seq, face()), event("b", seq, face(), face(400))]
    found = run(Chain(), records)
    assert {p.track for p in smoothed(found, "a")[-1].people} == {1}
    assert {p.track for p in smoothed(found, "b")[-1].people} == {1, 2}
    assert len(changes(found)) == 3


def test_a_source_that_falls_silent_has_nobody_in_it() -> None:
    chain = Chain(ChainOptions(silence_s=2.0))
    run(chain, [record("a", "started"), *(event("a", seq, face()) for seq in range(10))])
    silent_s = chain.next_due_s()
    assert silent_s == pytest.approx(START_S + 1.0 + 2.0)
    assert chain.due(silent_s - 0.01) == []
    (left,) = chain.due(silent_s)
    assert isinstance(left, Transition)
    assert left.change == "person_left"
    assert left.at_ns == event("a", 9).captured_at_ns + 2 * SECOND
    assert chain.next_due_s() is None
    assert chain.due(silent_s + 100) == []
    # It goes on where it stopped: whoever is seen again has come back.
    found = run(chain, [event("a", seq, face()) for seq in range(10, 20)], silent_s + 1)
    assert changes(found) == [("a", "person_entered")]
    assert {p.track for s in smoothed(found, "a") for p in s.people} == {1}


def test_what_never_came_is_counted_and_what_comes_late_is_left_out() -> None:
    chain = Chain(ChainOptions(lateness_s=0.2))
    came = [record("a", "started"), *(event("a", seq) for seq in (0, 1, 3, 4))]
    found = run(chain, came)
    due_s = START_S + 10
    found += chain.due(due_s)
    found += chain.put(event("a", 2), due_s)
    found += chain.put(event("a", 5), due_s)
    assert [s.seq for s in smoothed(found, "a")] == [0, 1, 3, 4, 5]
    assert chain.late == 1


def test_tracks_go_on_counting_over_sessions() -> None:
    chain = Chain()
    first = [record("a", "started"), *(event("a", seq, face()) for seq in range(10))]
    run(chain, [*first, record("a", "ended", 10)])
    second = [event("a", seq, face(), session="t") for seq in range(10)]
    found = run(chain, [record("a", "started", session="t"), *second], START_S + 5)
    assert {p.track for s in smoothed(found, "a") for p in s.people} == {2}
    assert {p.voice for s in smoothed(found, "a") for p in s.people} == {1}


def test_people_stay_who_they_are_when_their_source_moves_to_another_partition() -> None:
    first = [event("a", seq, face()) for seq in range(20)]
    second = [replace(event("a", seq + 20, face(), session="t"), seq=seq) for seq in range(20)]
    found = run(
        Chain(),
        [
            record("a", "started"),
            *first,
            replace(record("a", "ended", 20), moved=True),
            replace(record("a", "started", session="t"), moved=True),
            *second,
        ],
    )
    assert changes(found) == [("a", "person_entered")]
    assert [r.session for r in found if isinstance(r, SourceRecord)] == ["s"]
    seen = smoothed(found, "a")
    assert [event.session for event in seen] == ["s"] * 20 + ["t"] * 20
    assert {person.track for event in seen[10:] for person in event.people} == {1}


def test_a_file_that_moves_keeps_the_time_of_its_media() -> None:
    """Read faster than it plays, its capture times say nothing."""
    last = replace(event("a", 5), pts_ns=2 * SECOND)
    later = replace(event("a", 6, session="t"), pts_ns=3 * SECOND)
    moved = replace(record("a", "started", session="t"), moved=True)
    before = continued(last, moved)
    assert before is not None
    assert elapsed_s(before, later) == 1.0
    assert continued(last, record("a", "started", session="t")) is last


def test_a_camera_that_comes_back_in_another_partition_comes_back() -> None:
    found = run(
        Chain(),
        [
            record("a", "started"),
            event("a", 0),
            record("a", "offline", 1),
            replace(record("a", "started", session="t"), moved=True),
            event("a", 0, session="t"),
            record("a", "offline", 1, session="t"),
        ],
    )
    states = [(r.session, r.state) for r in found if isinstance(r, SourceRecord)]
    assert states == [("s", "started"), ("s", "offline"), ("t", "started"), ("t", "offline")]


def test_of_too_many_sources_the_oldest_is_forgotten() -> None:
    chain = Chain()
    for number in range(1030):
        chain.put(event(f"cam{number}", 0), START_S + number)
    assert len(chain._people) == 1024
    assert "cam1029" in chain._people
