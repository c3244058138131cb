"""Streams that wait for each other: never for ever, and never past what came before."""

from __future__ import annotations

from consumer.holds import LONGEST_S, Holds


def released(holds: Holds[str], now_s: float = 0.0) -> list[str]:
    """Where all streams are known."""
    holds.knows_all(now_s)
    hold = holds.release(now_s)
    return [] if hold is None else hold.items


def test_a_stream_waits_until_all_others_were_read_to_their_end() -> None:
    holds: Holds[str] = Holds()
    holds.add(1, ["start", "event"], [0, 2], began=(5, 0), fetched_s=0.0)
    assert 1 in holds
    holds.was_read(0, 1.0, at_end=True)
    holds.was_read(2, 1.0, at_end=False)
    assert released(holds) == []
    holds.was_read(2, 1.0, at_end=True)
    assert released(holds) == ["start", "event"]
    assert 1 not in holds
    assert released(holds) == []


def test_of_streams_that_wait_for_each_other_the_older_session_goes_first() -> None:
    holds: Holds[str] = Holds()
    holds.add(0, ["younger"], [1], began=(7, 0), fetched_s=0.0)
    holds.add(1, ["older"], [0], began=(5, 0), fetched_s=0.0)
    assert released(holds) == ["older"]
    assert released(holds) == []  # the other one has yet to be read to its end
    holds.was_read(1, 0.0, at_end=True)
    assert released(holds) == ["younger"]


def test_two_that_wait_for_each_other_wait_for_a_third_as_well() -> None:
    holds: Holds[str] = Holds()
    holds.add(0, ["younger"], [1, 2], began=(7, 0), fetched_s=0.0)
    holds.add(1, ["older"], [0, 2], began=(5, 0), fetched_s=0.0)
    assert released(holds) == []
    holds.was_read(2, 0.0, at_end=True)
    assert released(holds) == ["older"]


def test_what_lies_behind_an_older_beginning_is_waited_for() -> None:
    """The younger one has seen the third stream's end before, the older one has not."""
    holds: Holds[str] = Holds()
    holds.add(0, ["younger"], [1, 2], began=(7, 0), fetched_s=0.0)
    holds.was_read(2, 0.0, at_end=True)
    holds.add(1, ["older"], [0, 2], began=(5, 0), fetched_s=0.0)
    assert released(holds) == []
    holds.was_read(2, 0.0, at_end=True)
    assert released(holds) == ["older"]


def test_a_stream_read_to_its_end_but_held_before_it_is_waited_for() -> None:
    holds: Holds[str] = Holds()
    holds.add(0, ["younger"], [1], began=(7, 0), fetched_s=0.0)
    holds.was_read(1, 0.0, at_end=True)
    holds.add(1, ["older"], [0], began=(5, 0), fetched_s=0.0)
    assert released(holds) == ["older"]


def test_a_stream_that_does_not_answer_is_not_waited_for_for_ever() -> None:
    holds: Holds[str] = Holds()
    holds.add(1, ["start"], [0], began=(5, 0), fetched_s=100.0)
    assert released(holds, 100.0 + LONGEST_S - 0.1) == []
    assert released(holds, 100.0 + LONGEST_S) == ["start"]


def test_a_reader_far_behind_may_take_its_time() -> None:
    holds: Holds[str] = Holds()
    holds.add(1, ["start"], [0], began=(5, 0), fetched_s=0.0)
    for now_s in range(0, 100, 10):
        holds.was_read(0, now_s, at_end=False)
        assert released(holds, now_s + 10) == []
    assert released(holds, 90 + LONGEST_S) == ["start"]


def test_what_was_taken_over_by_others_is_not_handed_out() -> None:
    holds: Holds[str] = Holds()
    holds.add(1, ["start"], [], began=(5, 0), fetched_s=0.0)
    holds.add(2, ["later"], [1], began=(6, 0), fetched_s=3.0)
    assert holds.drop(1.0) == [1]
    assert 2 in holds
    holds.clear()
    assert released(holds) == []


def test_a_stream_that_nobody_knew_of_is_waited_for() -> None:
    holds: Holds[str] = Holds()
    holds.add(0, ["start"], [], began=(5, 0), fetched_s=1.0)
    assert holds.release(1.0) is None
    holds.knows_all(0.9)  # asked before
    assert holds.release(1.0) is None
    holds.add_stream(1)
    holds.knows_all(1.1)
    assert holds.release(1.2) is None
    holds.was_read(1, 1.3, at_end=True)
    assert released(holds, 1.3) == ["start"]


def test_a_stream_never_read_to_its_end_is_waited_for_until_what_comes_is_younger() -> None:
    holds: Holds[str] = Holds()
    holds.add(1, ["start"], [0], began=(50_000, 0), fetched_s=0.0)
    holds.was_read(0, 1.0, at_end=False, newest=(60_000, 9))
    assert released(holds, 1.0) == []
    holds.was_read(0, 2.0, at_end=False, newest=(60_001, 0))
    assert released(holds, 2.0) == ["start"]
