"""What the events add up to."""

from __future__ import annotations

import pytest

from consumer.percentiles import Percentiles
from contract.event import Box, EmotionEvent, FaceEmotion, SourceRecord
from contract.smoothed import Person, SmoothedEvent, Transition
from deploy.local.tally import WINDOW_S, Tally

SECOND = 1_000_000_000


def face(label: str = "happiness", share: float = 0.8, left: int = 10) -> FaceEmotion:
    other = "neutral" if label != "neutral" else "anger"
    scores = {label: share, other: 1 - share}
    return FaceEmotion(Box(left, 10, left + 40, 60), 0.99, label, scores, 0.5, 0.5)


def event(
    seq: int,
    *faces: FaceEmotion,
    source: str = "clip",
    session: str = "s1",
    captured_s: float | None = None,
    latency_s: float = 0.1,
) -> EmotionEvent:
    captured_ns = round((100.0 + (seq / 10 if captured_s is None else captured_s)) * SECOND)
    return EmotionEvent(
        source=source,
        session=session,
        seq=seq,
        captured_at_ns=captured_ns,
        pts_ns=seq * SECOND // 10,
        published_at_ns=captured_ns + round(latency_s * SECOND),
        width=640,
        height=480,
        model="model@0123",
        faces=faces,
    )


def started(frames: int | None, source: str = "clip", session: str = "s1") -> SourceRecord:
    return SourceRecord(source, session, "started", 100 * SECOND, frames)


def test_counts_frames_faces_and_emotions_per_source_and_together() -> None:
    tally = Tally()
    tally.add(event(0, face(), face("neutral", left=300)), 0.0)
    tally.add(event(1), 0.1)
    tally.add(event(0, face("anger"), source="door"), 0.1)
    assert tally.events == 3
    assert tally.faces == 3
    assert tally.labels == {"happiness": 1, "neutral": 1, "anger": 1}
    assert tally.sources["clip"].events == 2
    assert tally.sources["clip"].labels == {"happiness": 1, "neutral": 1}
    assert tally.sources["door"].faces == 1


def test_percentiles_are_numpys() -> None:
    values = [0.4, 0.1, 0.2, 0.3, 1.0]
    latency = Percentiles.of(values)
    assert latency is not None
    assert latency.p50_s == pytest.approx(0.3)
    assert latency.p95_s == pytest.approx(0.88)
    assert latency.p99_s == pytest.approx(0.976)
    assert Percentiles.of([]) is None
    assert Percentiles.of([0.5]) == Percentiles(0.5, 0.5, 0.5)


def test_rate_over_the_whole_run_is_from_first_capture_to_last_publication() -> None:
    tally = Tally()
    for seq in range(11):
        tally.add(event(seq, latency_s=1.0), seq / 10)
    assert tally.elapsed_s == pytest.approx(2.0)
    assert tally.frames_per_s == pytest.approx(5.5)
    assert tally.sources["clip"].frames_per_s == pytest.approx(5.5)


def test_window_forgets_what_is_older() -> None:
    tally = Tally()
    for seq in range(100):
        tally.add(event(seq, face("anger" if seq < 40 else "happiness")), seq / 10)
    window = tally.sources["clip"].window(9.9)
    assert window.frames_per_s == pytest.approx(10.0, rel=0.05)
    assert window.shares == {"happiness": 1.0}
    quiet = tally.sources["clip"].window(9.9 + WINDOW_S + 1)
    assert quiet.frames_per_s == 0
    assert quiet.latency is None
    assert quiet.shares == {}


def test_rate_of_a_source_that_has_just_begun() -> None:
    tally = Tally()
    for seq in range(16):  # one batch
        tally.add(event(seq), 50.0)
    assert tally.sources["clip"].window(50.0).frames_per_s == 32  # not infinity
    assert tally.sources["clip"].window(51.0).frames_per_s == 16


def test_progress_needs_a_number_of_frames() -> None:
    tally = Tally()
    tally.add(started(None), 0.0)
    tally.add(event(0), 0.1)
    assert tally.sources["clip"].total is None
    assert tally.sources["clip"].left_s(0.1) is None


def test_progress_follows_the_container_until_the_producer_knows_better() -> None:
    tally = Tally()
    source = tally.sources
    tally.add(started(40), 0.0)
    for seq in range(20):
        tally.add(event(seq), seq / 10)
    assert source["clip"].total == 40
    assert source["clip"].left_s(2.0) == pytest.approx(2.0, rel=0.1)
    tally.add(SourceRecord("clip", "s1", "ended", 103 * SECOND, 30), 2.0)
    assert source["clip"].total == 30
    assert source["clip"].captured == 30
    assert source["clip"].state == "ended"


def test_sessions_of_one_source_add_up() -> None:
    tally = Tally()
    tally.add(started(5, session="a"), 0.0)
    tally.add(SourceRecord("clip", "a", "offline", 101 * SECOND, 5), 0.5)
    tally.add(started(7, session="b"), 1.0)
    tally.add(event(0, session="b"), 1.1)
    assert tally.sources["clip"].total == 12
    assert tally.sources["clip"].captured == 6  # 5 taken in `a`, 1 known of in `b`
    assert tally.sources["clip"].state == "started"


def person(track: int, left: int, label: str = "happiness") -> Person:
    box = Box(left, 10, left + 40, 60)
    return Person(track, track, box, True, label, {label: 1.0}, 0.0, 0.0)


def smoothed(*people: Person) -> SmoothedEvent:
    at_ns = 100 * SECOND
    return SmoothedEvent("clip", "s", 0, at_ns, None, at_ns, 640, 480, people, None)


def test_people_stand_from_left_to_right_until_they_leave() -> None:
    tally = Tally()
    tally.see(smoothed(person(1, 300)))  # of a source that was not heard of: nothing to show it in
    tally.add(event(0, face()), 0.0)
    tally.see(smoothed(person(1, 300, "anger"), person(2, 10)))
    assert [person.label for person in tally.sources["clip"].people] == ["happiness", "anger"]
    tally.see(Transition("clip", "s", "person_left", 101 * SECOND, 2, 2, "happiness"))
    assert [person.track for person in tally.sources["clip"].people] == [1]
    tally.see(smoothed())
    assert tally.sources["clip"].people == ()
