"""Capture order comes back whatever workers did to it, and what is too late is counted."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumer.order import Order, in_order
from contract.event import EmotionEvent, Record
from tests.unit.arrivals import (
    BUSY,
    LATENESS_S,
    Arrival,
    frame,
    play,
    said,
    sources,
    through_workers,
)

ROUNDING_S = 1e-9


def seqs(records: Iterable[Record]) -> list[int | str]:
    """Frames by number, source records by what they say."""
    return [r.seq if isinstance(r, EmotionEvent) else r.state for r in records]


@given(sources())
@BUSY
def test_any_interleaving_within_the_lateness_gives_what_happened(
    case: tuple[dict[str, list[Record]], list[Arrival]],
) -> None:
    happened, arrivals = case
    order = Order(LATENESS_S)
    released = play(order, arrivals)
    for source, expected in happened.items():
        assert [r.record for r in released if r.record.source == source] == expected
    assert (order.late, order.missing) == (0, 0)
    events = [r for r in released if isinstance(r.record, EmotionEvent)]
    assert all(r.waited_s <= LATENESS_S + ROUNDING_S for r in events)


@given(
    st.lists(st.none() | st.floats(0.0, 1.0), max_size=40),
    st.sampled_from([0.0, 0.01, LATENESS_S]),
    st.booleans(),
    st.sampled_from(["ended", "offline", None]),
)
@BUSY
@example([None, 0.0, 0.5, 0.0], LATENESS_S, True, "ended")
def test_what_is_too_late_or_lost_is_counted_and_the_rest_is_in_order(
    delays_s: list[float | None], lateness_s: float, is_seen_to_start: bool, end: str | None
) -> None:
    """`None` is a frame that never comes."""
    count = len(delays_s)
    arrivals = [
        Arrival(seq * 0.05 + delay_s, frame(seq, seq * 0.05))
        for seq, delay_s in enumerate(delays_s)
        if delay_s is not None
    ]
    came = len(arrivals)
    if is_seen_to_start:
        arrivals.append(Arrival(-1.0, said("started")))
    if end is not None:
        arrivals.append(Arrival(count * 0.05, said(end, count, count * 0.05)))  # type: ignore[arg-type]
    order = Order(lateness_s)
    released = play(order, arrivals)
    events = [r for r in released if isinstance(r.record, EmotionEvent)]
    out = seqs(r.record for r in events)
    assert out == sorted(set(out))
    assert all(r.waited_s <= lateness_s + ROUNDING_S for r in events)
    assert len(out) + order.late == came
    if is_seen_to_start and end is not None:
        assert len(out) + order.late + order.missing == count
    said_so = [r.record.state for r in released if not isinstance(r.record, EmotionEvent)]
    assert said_so == ["started"] * is_seen_to_start + [end] * (end is not None)
    assert order.counts() == ({"cam": (order.late, order.missing)} if arrivals else {})


@given(st.data())
@BUSY
def test_sources_that_lose_frames_do_not_disturb_each_other(data: st.DataObject) -> None:
    happened, arrivals = data.draw(sources(longest_s=1.0))
    lost = data.draw(st.sets(st.integers(0, len(arrivals) - 1)))
    kept = [
        arrival
        for number, arrival in enumerate(arrivals)
        if number not in lost or not isinstance(arrival.record, EmotionEvent)
    ]
    together = Order(LATENESS_S)
    released = play(together, kept)
    for source in happened:
        alone = Order(LATENESS_S)
        came = (arrival for arrival in kept if arrival.record.source == source)
        its_own = [r.record for r in play(alone, came)]
        assert [r.record for r in released if r.record.source == source] == its_own
        assert together.counts()[source] == (alone.late, alone.missing)
        places = [happened[source].index(record) for record in its_own]
        assert places == sorted(places)


@given(st.integers(1, 5), st.integers(1, 20), st.data())
@BUSY
def test_who_joins_in_the_middle_begins_with_the_lowest_after_one_lateness(
    workers: int, first: int, data: st.DataObject
) -> None:
    captures = [(0.05 * n, frame(first + n, 0.05 * n)) for n in range(20)]
    arrivals = through_workers(data.draw, captures, workers, st.floats(0.0, LATENESS_S * 0.999))
    order = Order(LATENESS_S)
    released = play(order, arrivals)
    assert seqs(r.record for r in released) == list(range(first, first + 20))
    assert (order.late, order.missing) == (0, 0)


def test_nothing_waits_while_nothing_is_missing() -> None:
    order = Order(LATENESS_S)
    assert seqs(order.put(said("started"), 1.0)) == ["started"]
    for seq in range(3):
        assert seqs(order.put(frame(seq), 1.0 + seq)) == [seq]
        assert order.next_due_s() is None
    assert seqs(order.put(said("ended", 3), 5.0)) == ["ended"]
    assert order.next_due_s() is None


def test_a_session_that_begins_with_frame_0_was_not_joined_in_the_middle() -> None:
    assert seqs(Order(LATENESS_S).put(frame(0), 0.0)) == [0]


def test_several_gaps_do_not_add_up() -> None:
    order = Order(0.2)
    order.put(frame(0), 0.0)
    for number, seq in enumerate((2, 4, 6, 8)):
        assert order.put(frame(seq), 1.0 + number * 0.05) == []
    assert order.next_due_s() == pytest.approx(1.2)
    assert seqs(order.due(1.2)) == [2]
    assert seqs(order.due(1.26)) == [4]
    assert seqs(order.put(frame(7), 1.27)) == []
    assert seqs(order.put(frame(5), 1.28)) == [5, 6, 7, 8]
    assert (order.late, order.missing) == (0, 2)


def test_a_missing_frame_that_comes_after_all_is_late_and_missing_no_more() -> None:
    order = Order(0.2)
    assert seqs(order.put(said("started"), 0.0)) == ["started"]
    order.put(frame(2), 0.0)
    assert seqs(order.due(0.2)) == [2]
    assert (order.late, order.missing) == (0, 2)
    assert order.put(frame(1), 0.3) == []
    assert (order.late, order.missing) == (1, 1)
    assert seqs(order.put(said("ended", 5), 0.4)) == []
    assert seqs(order.due(20.0)) == ["ended"]
    assert (order.late, order.missing) == (1, 3)
    assert order.put(frame(4), 20.1) == []  # of a session that is over
    assert (order.late, order.missing) == (2, 2)


def test_with_no_lateness_nothing_waits_and_nothing_goes_back() -> None:
    order = Order(0.0)
    order.put(said("started"), 0.0)
    assert [seqs(order.put(frame(seq), 0.0)) for seq in (1, 0, 3, 2, 4)] == [[1], [], [3], [], [4]]
    assert (order.late, order.missing) == (2, 0)


def test_the_end_waits_for_a_backlog_and_holds_up_no_frame() -> None:
    """A file is read faster than its frames are analysed: its end comes first."""
    order = Order(0.2)
    order.put(said("started", 40), 0.0)
    order.put(said("ended", 40), 0.5)
    assert order.next_due_s() is None  # no worker runs yet
    for seq in range(39):
        assert seqs(order.put(frame(seq), 60.0 + 10 * seq)) == [seq]
    assert seqs(order.put(frame(39), 500.0)) == [39, "ended"]
    assert (order.late, order.missing) == (0, 0)


@pytest.mark.parametrize(("state", "wait_s"), [("ended", 15.0), ("offline", 2.0)])
def test_an_end_whose_last_frames_are_lost_comes_when_nothing_moved_for_a_while(
    state: str, wait_s: float
) -> None:
    order = Order(0.2)
    order.put(said("started"), 0.0)
    order.put(said(state, 5), 1.0)  # type: ignore[arg-type]
    assert seqs(order.put(frame(0), 1.5)) == [0]
    assert order.next_due_s() == pytest.approx(1.5 + wait_s)
    assert order.due(1.4 + wait_s) == []
    assert seqs(order.due(1.5 + wait_s)) == [state]
    assert order.missing == 4


def test_a_camera_that_comes_back_gives_up_what_its_last_session_lost() -> None:
    order = Order(0.2)
    order.put(said("started"), 0.0)
    order.put(frame(0), 0.1)
    assert order.put(said("offline", 3), 1.0) == []
    assert order.put(said("started", session="s2"), 1.1) == []
    assert order.put(frame(0, session="s2"), 1.2) == []
    assert seqs(order.put(frame(2), 1.3)) == []
    assert order.next_due_s() == pytest.approx(1.4)
    assert seqs(order.due(1.4)) == [2, "offline", "started", 0]
    assert seqs(order.put(frame(1, session="s2"), 1.5)) == [1]
    assert order.put(frame(1), 1.6) == []
    assert (order.late, order.missing) == (1, 0)


def test_a_killed_producer_that_is_started_again_begins_after_a_while() -> None:
    order = Order(0.2)
    order.put(said("started"), 0.0)
    order.put(frame(0), 0.1)
    assert order.put(said("started", session="s2"), 1.0) == []
    assert seqs(order.put(frame(1), 2.0)) == [1]
    assert seqs(order.due(17.0)) == ["started"]
    assert seqs(order.put(frame(0, session="s2"), 17.1)) == [0]


def test_an_event_of_an_old_session_that_nobody_saw_begins_no_new_one() -> None:
    order = Order(0.2)
    assert seqs(order.put(said("started", at_s=10.0, session="s2"), 0.0)) == ["started"]
    assert order.put(frame(7, 9.9), 0.05) == []
    assert seqs(order.put(frame(0, 10.1, session="s2"), 0.1)) == [0]
    assert order.late == 1


def test_a_session_whose_start_was_missed_follows_when_the_clock_went_back() -> None:
    order = Order(0.2)
    order.put(frame(0, 3600.0), 0.0)
    assert order.put(frame(7, 0.0, session="s2"), 1.0) == []
    assert order.put(frame(8, 0.1, session="s2"), 20.0) == []
    assert seqs(order.due(20.2)) == [8]


def test_repeats_and_second_ends_are_dropped() -> None:
    order = Order(0.2)
    for record in (said("started"), frame(1), frame(1), said("started"), frame(0), frame(0)):
        order.put(record, 0.0)
    assert order.late == 3
    order.put(said("ended", 3), 0.1)
    assert order.put(said("offline", 3), 0.1) == []
    assert seqs(order.put(frame(2), 0.2)) == [2, "ended"]


def test_a_flooded_gap_is_given_up() -> None:
    order = Order(3600.0)
    order.put(said("started"), 0.0)
    released = [r for seq in range(1, 10_000) for r in order.put(frame(seq), 0.0)]
    assert seqs(released) == list(range(1, 10_000))
    assert order.missing == 1
    sessions = [r for n in range(200) for r in order.put(said("started", session=f"x{n}"), 0.0)]
    assert len(sessions) > 100


def test_silent_sources_are_let_go_and_still_counted() -> None:
    order = Order(3600.0)
    for number in range(2_000):
        order.put(said("started", source=f"cam{number}"), 0.0)
        order.put(frame(1, source=f"cam{number}"), float(number))
    assert len(order.counts()) <= 1_024
    assert order.missing == 2_000 - 1_024
    assert len(order.flush()) == 1_024
    assert order.missing == 2_000


def test_flush_lets_all_go_in_order_and_a_session_may_go_on() -> None:
    order = Order(0.2)
    order.put(said("started"), 0.0)
    for seq in (5, 3):
        order.put(frame(seq), 0.0)
    assert seqs(order.flush()) == [3, 5]
    assert order.missing == 4
    assert seqs(order.put(frame(6), 1.0)) == [6]


def test_a_plain_iterator_looks_at_the_clock_whenever_a_record_comes() -> None:
    times_s = iter((0.0, 0.1, 0.2, 0.5, 0.6))
    came = [said("started"), frame(1), frame(0), frame(3), frame(4)]
    assert seqs(in_order(came, 0.2, lambda: next(times_s))) == ["started", 0, 1, 3, 4]
    assert list(in_order([])) == []


def test_who_stands_still_gives_up_nothing_that_it_has_not_read() -> None:
    order = Order(0.2)
    order.put(said("started"), 0.0)
    assert order.put(frame(1), 0.0) == []
    # A second later a batch is fetched, and what is missing is the last in it.
    assert order.put(frame(3), 1.0) == []
    assert order.put(frame(2), 1.0) == []
    assert seqs(order.put(frame(0), 1.0)) == [0, 1, 2, 3]
    assert order.put(frame(5), 1.0) == []
    assert order.put(frame(6), 1.3) == []  # fetched together with what may come yet
    assert seqs(order.put(frame(7), 1.4)) == [5, 6, 7]
    assert (order.late, order.missing) == (0, 1)
