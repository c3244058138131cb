"""Who is who from frame to frame."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from consumer.people.gate import GateOptions
from consumer.people.tracked import TrackedEvent
from consumer.people.tracks import Tracker, tracked
from contract.event import EmotionEvent, SourceRecord
from tests.scenes import (
    WIDTH,
    Actor,
    crossing,
    during,
    event,
    film,
    still,
    tracks_of,
    walk,
    without,
)  # fmt: skip


def watch(events: list[EmotionEvent], forget_s: float = 1.0) -> list[TrackedEvent]:
    tracker = Tracker(forget_s=forget_s)
    return [tracker.see(event) for event in events]


@pytest.mark.parametrize(
    ("fps", "missed", "allowed"),
    [
        *((fps, 0.0, 0) for fps in (30, 15, 10, 5)),
        *((fps, 0.1, 0) for fps in (30, 15)),
        (10, 0.1, 2),
    ],
)
@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("hidden_s", [0.2, 0.4, 0.6])
def test_two_who_cross_keep_their_tracks(
    fps: float, missed: float, allowed: int, speed: float, hidden_s: float
) -> None:
    exchanged = []
    for seed in range(12):
        actors, seconds = crossing(seed, speed, hidden_s)
        seen = watch(film(actors, fps=fps, seconds=seconds, seed=seed, missed=missed))
        tracks = tracks_of(seen)
        assert tracks.keys() == {"near", "far"}
        if any(numbers[0] != numbers[-1] for numbers in tracks.values()):
            exchanged.append(seed)
    assert len(exchanged) <= allowed, exchanged


def test_a_track_lasts_through_missed_detections() -> None:
    seen = watch(film([Actor("a", walk(100, 300, 80)), Actor("b", still(900, 300))], seconds=10,
                      missed=0.4))  # fmt: skip
    assert {name: set(tracks) for name, tracks in tracks_of(seen).items()} in (
        {"a": {1}, "b": {2}},
        {"a": {2}, "b": {1}},
    )


def test_somebody_unseen_goes_on_as_before_and_leaves_after_the_time_to_forget() -> None:
    seen = watch(film([Actor("a", without(walk(100, 300, 100), 2.0, 9.0))], seconds=5, jitter=0.0))
    gone = [tracked for tracked in seen if not tracked.event.faces]
    there = [tracked for tracked in gone if tracked.people]
    assert 0.9 < len(there) / 15 <= 1.0
    assert all(tracked.people[0].face is None for tracked in there)
    middles = [(t.people[0].box.left + t.people[0].box.right) / 2 for t in there]
    assert middles[-1] == pytest.approx(100 + 100 * (2.0 + len(there) / 15), abs=15)


def test_somebody_who_walks_out_of_the_frame_leaves_at_once() -> None:
    seen = watch(film([Actor("a", walk(1000, 300, 300))], seconds=3))
    last = max(n for n, tracked in enumerate(seen) if tracked.event.faces)
    assert not seen[last + 3].people


@pytest.mark.parametrize("fps", [5, 30])
def test_after_a_longer_time_it_is_somebody_new(fps: float) -> None:
    path = without(still(300, 300), 2.0, 3.5)
    seen = watch(film([Actor("a", path)], fps=fps, seconds=5))
    assert set(tracks_of(seen)["a"]) == {1, 2}
    patient = watch(film([Actor("a", path)], fps=fps, seconds=5), forget_s=2.0)
    assert set(tracks_of(patient)["a"]) == {1}


def test_voices_are_the_lowest_free_and_tracks_are_never_given_again() -> None:
    actors = [
        Actor("a", during(still(200, 300), 0.0, 2.0)),
        Actor("b", still(600, 300)),
        Actor("c", during(still(1000, 300), 4.0, 9.0)),
    ]
    seen = watch(film(actors, seconds=6))
    assert [(p.track, p.voice) for p in seen[20].people] == [(1, 1), (2, 2)]
    assert [(p.track, p.voice) for p in seen[55].people] == [(2, 2)]
    assert [(p.track, p.voice) for p in seen[-1].people] == [(2, 2), (3, 1)]


def test_a_new_session_has_new_people_and_counts_on() -> None:
    actor = Actor("a", still(300, 300))
    tracker = Tracker()
    for event_ in film([actor], seconds=2):
        tracker.see(event_)
    again = [
        replace(event_, captured_at_ns=event_.captured_at_ns + 2_100_000_000)
        for event_ in film([actor], seconds=2, session="b")
    ]
    seen = [tracker.see(event_) for event_ in again]
    assert not seen[0].people
    assert [person.track for person in seen[-1].people] == [2]


def test_a_pause_of_the_source_ends_all_tracks() -> None:
    before = film([Actor("a", still(300, 300))], seconds=2)
    face = before[-1].faces[0]
    tracker = Tracker()
    for event_ in before:
        tracker.see(event_)
    assert tracker.see(event([face], 3.5)).people[0].track == 1
    assert not tracker.see(event([face], 6.0)).people


def test_media_time_counts_and_not_how_fast_a_file_was_read() -> None:
    events = [
        replace(event_, pts_ns=round(n / 15 * 1e9), captured_at_ns=1_800_000_000_000_000_000 + n)
        for n, event_ in enumerate(
            film([Actor("a", without(still(300, 300), 2.0, 4.0))], seconds=5)
        )
    ]
    assert set(tracks_of(watch(events))["a"]) == {1, 2}


def test_two_frames_of_the_same_moment_are_borne() -> None:
    events = film([Actor("a", still(300, 300)), Actor("b", still(700, 300))], seconds=2)
    seen = watch([replace(event_, captured_at_ns=1_800_000_000_000_000_000) for event_ in events])
    assert len(seen[-1].people) + len(seen[-1].rejected) == 2


def test_a_full_frame_of_faces_keeps_its_tracks() -> None:
    """200 faces, as many as an event can have."""
    actors = [
        Actor(f"f{n}", still(40 + 60 * (n % 20), 40 + 70 * (n // 20), 50)) for n in range(200)
    ]
    seen = watch(film(actors, fps=10, seconds=2, missed=0.1))
    tracks = tracks_of(seen)
    assert len(tracks) == 200
    assert all(len(set(numbers)) == 1 for numbers in tracks.values())
    assert [person.track for person in seen[-1].people] == sorted(
        person.track for person in seen[-1].people
    )


def test_every_face_is_a_person_or_rejected_and_boxes_stay_in_the_frame() -> None:
    dice = random.Random(3)
    actors = [
        Actor(f"f{n}", walk(dice.uniform(0, 1280), dice.uniform(0, 720), dice.uniform(-400, 400),
                            dice.uniform(20, 200), dice.uniform(-200, 200)))
        for n in range(12)
    ]  # fmt: skip
    for tracked_ in watch(film(actors, seconds=5, missed=0.3)):
        found = sorted(
            [p.box.to_list() for p in tracked_.people if p.face is not None]
            + [f.box.to_list() for f in tracked_.rejected]
        )
        assert found == sorted(face.box.to_list() for face in tracked_.event.faces)
        for person in tracked_.people:
            box = person.box
            assert 0 <= box.left < box.right <= WIDTH
            assert 0 <= box.top < box.bottom <= 720
        assert len({person.voice for person in tracked_.people}) == len(tracked_.people)


def test_sources_are_apart_and_source_records_pass() -> None:
    left = film([Actor("a", still(300, 300))], seconds=2)
    right = [replace(e, source="other") for e in film([Actor("b", still(300, 300))], seconds=2)]
    ended = SourceRecord("s", "a", "ended", left[-1].captured_at_ns, len(left))
    records = [*(e for both in zip(left, right, strict=True) for e in both), ended, left[-1]]
    out = list(tracked(records, GateOptions(brief_s=0.0)))
    assert out[-2] is ended
    seen = [one for one in out if isinstance(one, TrackedEvent)]
    assert [one.event for one in seen] == [one for one in records if one is not ended]
    assert {person.track for one in seen[:-1] for person in one.people} == {1}
    assert [person.track for person in seen[-1].people] == [2]


def test_a_negative_time_to_forget_is_refused() -> None:
    with pytest.raises(ValueError, match="forget_s: expected 0 or more, got -1"):
        Tracker(forget_s=-1)
