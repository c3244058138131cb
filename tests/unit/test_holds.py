"""Streams that wait for each other: never for ever, and never past what came before."""

from __future__ import annotations

from consumer.holds import LONGEST_S, Holds


def test_a_stream_waits_until_all_others_were_read_to_their_end() -> None:
    holds: Holds[str] = Holds()
    holds.add(1, ["start", "event"], [0, 2], at_ns=5, at_ms=0, now_s=0.0)
    holds.knows_all(0.0)
    assert 1 in holds
    holds.was_read(0)
    assert holds.release(1.0) == []
    holds.was_read(2)
    assert holds.release(1.0) == ["start", "event"]
    assert 1 not in holds
    assert holds.release(1.0) == []


def test_of_streams_that_wait_for_each_other_the_older_session_goes_first() -> None:
    holds: Holds[str] = Holds()
    holds.add(0, ["younger"], [1], at_ns=7, at_ms=0, now_s=0.0)
    holds.add(1, ["older"], [0], at_ns=5, at_ms=0, now_s=0.0)
    holds.knows_all(0.0)
    assert holds.release(0.0) == ["older"]
    assert holds.release(0.0) == []  # the other one has yet to be read to its end
    holds.was_read(1)
    assert holds.release(0.0) == ["younger"]


def test_two_that_wait_for_each_other_wait_for_a_third_as_well() -> None:
    holds: Holds[str] = Holds()
    holds.add(0, ["younger"], [1, 2], at_ns=7, at_ms=0, now_s=0.0)
    holds.add(1, ["older"], [0, 2], at_ns=5, at_ms=0, now_s=0.0)
    holds.knows_all(0.0)
    assert holds.release(0.0) == []
    holds.was_read(2)
    assert holds.release(0.0) == ["older"]


def test_a_stream_that_does_not_answer_is_not_waited_for_for_ever() -> None:
    holds: Holds[str] = Holds()
    holds.add(1, ["start"], [0], at_ns=5, at_ms=0, now_s=100.0)
    assert holds.release(100.0 + LONGEST_S - 0.1) == []
    assert holds.release(100.0 + LONGEST_S) == ["start"]


def test_what_was_taken_over_by_others_is_not_handed_out() -> None:
    holds: Holds[str] = Holds()
    holds.add(1, ["start"], [], at_ns=5, at_ms=0, now_s=0.0)
    holds.knows_all(0.0)
    holds.clear()
    assert holds.release(0.0) == []


def test_a_stream_that_nobody_knew_of_is_waited_for() -> None:
    holds: Holds[str] = Holds()
    holds.add(0, ["start"], [], at_ns=5, at_ms=0, now_s=1.0)
    assert holds.release(1.0) == []
    holds.knows_all(0.9)  # asked before
    assert holds.release(1.0) == []
    holds.add_stream(1)
    holds.knows_all(1.1)
    assert holds.release(1.2) == []
    holds.was_read(1)
    assert holds.release(1.3) == ["start"]


def test_a_stream_that_is_far_behind_is_waited_for_as_long_as_it_comes_nearer() -> None:
    holds: Holds[str] = Holds()
    holds.add(1, ["start"], [0], at_ns=5, at_ms=50_000, now_s=0.0)
    holds.knows_all(0.0)
    for step in range(1, 51):
        now_s = step * (LONGEST_S - 0.1)
        holds.came_to(0, 1000 * step, now_s)
        assert holds.release(now_s) == []
    holds.came_to(0, 70_000, now_s)  # never to its end, but past all that can be waited for
    assert holds.release(now_s) == ["start"]


def test_what_was_held_too_long_to_be_ours_is_forgotten() -> None:
    holds: Holds[str] = Holds()
    holds.add(1, ["start"], [0], at_ns=5, at_ms=0, now_s=3.0)
    assert holds.drop(2.9) == []
    assert holds.drop(3.0) == [1]
    assert len(holds) == 0
