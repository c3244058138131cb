"""What was so between two frames."""

from __future__ import annotations

import pytest

from consumer.sinks.resampler import Resampler
from tests.signals import at, event, person, record, transition


def _resampler(*signals: object, media: bool = False) -> Resampler:
    resampler = Resampler("lobby", media=media)
    for signal in signals:
        if hasattr(signal, "people"):
            resampler.see(signal)  # type: ignore[arg-type]
        else:
            resampler.mark(signal)  # type: ignore[arg-type]
    return resampler


def test_between_two_events_everything_is_interpolated() -> None:
    resampler = _resampler(event(0.0, person(happiness=0.2)), event(0.4, person(happiness=0.6)))
    frame = resampler.at(at(0.1))
    assert frame.people is not None
    (somebody,) = frame.people
    assert somebody.scores == pytest.approx({"neutral": 0.7, "happiness": 0.3})
    assert somebody.valence == pytest.approx(0.3 * 0.81)
    assert somebody.arousal == pytest.approx(0.3 * 0.51)
    assert frame.room is not None
    assert frame.room.valence == pytest.approx(0.3 * 0.81)
    assert (frame.at_ns, frame.held) == (at(0.1), False)


def test_a_person_of_the_earlier_event_alone_keeps_their_value_and_the_other_waits() -> None:
    resampler = _resampler(
        event(0.0, person(1, 0.2)), event(0.2, person(2, 0.9)), event(0.4, person(2, 0.9))
    )
    frame = resampler.at(at(0.1))
    assert [(each.track, each.scores["happiness"]) for each in frame.people or ()] == [(1, 0.2)]
    frame = resampler.at(at(0.2))
    assert [each.track for each in frame.people or ()] == [2]


def test_across_a_long_gap_the_value_is_held() -> None:
    resampler = _resampler(event(0.0, person(happiness=0.2)), event(1.5, person(happiness=0.8)))
    assert (resampler.at(at(1.4)).people or ())[0].scores["happiness"] == 0.2
    assert (resampler.at(at(1.5)).people or ())[0].scores["happiness"] == 0.8


def test_after_the_last_event_the_frame_is_held() -> None:
    resampler = _resampler(event(0.0, person(happiness=0.2)))
    frame = resampler.at(at(0.1))
    assert frame.held
    assert (frame.people or ())[0].scores["happiness"] == 0.2


def test_changes_are_told_once_and_in_the_tick_they_belong_to() -> None:
    entered, changed = transition(0.05), transition(0.15, "emotion_changed", before="neutral")
    resampler = _resampler(
        event(0.0), entered, event(0.05, person()), changed, event(0.3, person())
    )
    assert resampler.at(at(0.0)).changes == ()
    assert resampler.at(at(0.1)).changes == (entered,)
    assert resampler.at(at(0.2)).changes == (changed,)
    assert resampler.at(at(0.3)).changes == ()


def test_who_left_is_gone_though_no_event_came_after() -> None:
    left = transition(0.25, "person_left", 1)
    resampler = _resampler(event(0.0, person(1), person(2)), left)
    assert [each.track for each in resampler.at(at(0.2)).people or ()] == [1, 2]
    frame = resampler.at(at(0.3))
    assert frame.changes == (left,)
    assert [each.track for each in frame.people or ()] == [2]
    resampler.mark(transition(0.35, "person_left", 2))
    frame = resampler.at(at(0.4))
    assert frame.people == ()
    assert frame.room is None


def test_who_comes_back_is_there_again() -> None:
    resampler = _resampler(
        event(0.0, person(1)), transition(0.1, "person_left"), transition(0.2), event(0.2, person())
    )
    assert resampler.at(at(0.15)).people == ()
    assert [each.track for each in resampler.at(at(0.2)).people or ()] == [1]


def test_the_rest_is_told_at_the_end() -> None:
    left, ended = transition(2.0, "person_left"), record(2.0, "ended")
    resampler = _resampler(event(0.0, person()), left, ended)
    assert resampler.is_ended
    frame = resampler.rest()
    assert frame.at_ns == at(2.0)
    assert frame.changes == (left, ended)
    assert frame.people == ()


def test_a_late_event_is_counted_and_changes_nothing() -> None:
    resampler = _resampler(event(0.0), event(0.2, person()), event(0.1))
    assert resampler.late == 1
    assert resampler.last_ns == at(0.2)


def test_a_clock_that_is_behind_is_told_apart_from_a_late_event() -> None:
    resampler = _resampler(event(10.0))
    assert not resampler.is_behind(event(9.7))
    assert resampler.is_behind(event(9.7, session="s2"))
    assert resampler.is_behind(event(0.0))


def test_media_time_goes_on_however_fast_the_file_was_read() -> None:
    entered = transition(0.01)
    resampler = _resampler(
        event(0.0, pts_s=5.0),
        entered,
        event(0.01, person(happiness=0.2), pts_s=5.2),
        event(0.02, person(happiness=0.6), pts_s=5.6),
        media=True,
    )
    assert resampler.last_ns == at(0.6)
    assert resampler.at(at(0.1)).changes == ()
    frame = resampler.at(at(0.3))
    assert frame.changes == (entered,)
    assert (frame.people or ())[0].scores["happiness"] == pytest.approx(0.3)
    resampler.mark(record(0.5, "ended"))
    assert resampler.known_ns == at(0.6 + 0.48)


def test_the_rest_does_not_go_back_behind_what_was_held() -> None:
    resampler = _resampler(event(0.0, person()))
    resampler.at(at(0.5))
    assert resampler.rest().at_ns == at(0.5)
