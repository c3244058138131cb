"""Several sources make one line by capture time, each time the same one."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.merge import Merge
from consumer.timeline import Timeline
from contract.event import EmotionEvent, Record, SourceRecord
from tests.unit.arrivals import BEGIN_NS, BUSY, LATENESS_S, Arrival, frame, play, said, sources

ROUNDING_S = 1e-9


def ids(records: Iterable[Record]) -> list[str]:
    return [
        f"{r.source}{r.seq}" if isinstance(r, EmotionEvent) else f"{r.source} {r.state}"
        for r in records
    ]


def at_ns(record: Record) -> int:
    return record.captured_at_ns if isinstance(record, EmotionEvent) else record.at_ns


def place(record: Record) -> tuple[int, str]:
    return at_ns(record), record.source


@given(sources(pause_s=1.0), st.data())
@BUSY
def test_any_arrivals_within_the_lateness_make_the_same_line(
    case: tuple[dict[str, list[Record]], list[Arrival]], data: st.DataObject
) -> None:
    """Each source in order, as `Order` leaves it, and no record later than the lateness."""
    happened, _ = case
    everything = [r for records in happened.values() for r in records]
    line = sorted((r for r in everything if isinstance(r, EmotionEvent)), key=place)
    arrivals = []
    for records in happened.values():
        at_s = 0.0
        for record in records:
            captured_s = (at_ns(record) - BEGIN_NS) / 1e9
            longest_s = 0.0 if isinstance(record, SourceRecord) else LATENESS_S * 0.99
            at_s = max(at_s, captured_s + data.draw(st.floats(0.0, longest_s)))
            arrivals.append(Arrival(at_s, record))
    merge = Merge(LATENESS_S)
    for source in happened:
        merge.expect(source, 0.0)
    released = play(merge, arrivals)
    assert [r.record for r in released if isinstance(r.record, EmotionEvent)] == line
    for source, expected in happened.items():
        assert [r.record for r in released if r.record.source == source] == expected
    assert merge.late == 0
    assert all(r.waited_s <= LATENESS_S + ROUNDING_S for r in released)


@given(sources(longest_s=LATENESS_S * 0.5))
@BUSY
def test_order_and_merge_together_wait_for_one_lateness(
    case: tuple[dict[str, list[Record]], list[Arrival]],
) -> None:
    happened, arrivals = case
    timeline = Timeline(LATENESS_S)
    released = play(timeline, arrivals)
    assert len(released) == len(arrivals)
    for source, expected in happened.items():
        assert [r.record for r in released if r.record.source == source] == expected
    events = [r for r in released if isinstance(r.record, EmotionEvent)]
    assert all(r.waited_s <= LATENESS_S + ROUNDING_S for r in events)
    assert timeline.missing == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 1.0)), max_size=60), st.booleans())
@BUSY
def test_what_is_too_late_is_counted_and_dropped_or_passed_on(
    delays: list[tuple[str, float]], drop_late: bool
) -> None:
    arrivals: list[Arrival] = []
    at_s = dict.fromkeys("abc", 0.0)
    for number, (source, delay_s) in enumerate(delays):
        at_s[source] = max(at_s[source], number * 0.05 + delay_s)
        arrivals.append(Arrival(at_s[source], frame(number, number * 0.05, source)))
    merge = Merge(LATENESS_S, drop_late=drop_late)
    released = play(merge, arrivals)
    events = [r.record for r in released if isinstance(r.record, EmotionEvent)]
    steps_back = sum(
        event.seq < max(earlier.seq for earlier in events[:number])
        for number, event in enumerate(events)
        if number
    )
    assert steps_back == (0 if drop_late else merge.late)
    assert len(events) == len(delays) - (merge.late if drop_late else 0)
    assert all(r.waited_s <= LATENESS_S + ROUNDING_S for r in released)
    for source in "abc":
        its_own = [event.seq for event in events if event.source == source]
        assert its_own == sorted(its_own)


def test_an_event_goes_on_as_soon_as_all_others_have_come_as_far() -> None:
    merge = Merge(LATENESS_S)
    assert ids(merge.put(said("started", source="a"), 0.0)) == ["a started"]
    assert ids(merge.put(said("started", source="b"), 0.0)) == ["b started"]
    assert ids(merge.put(frame(0, 1.0, "b"), 1.0)) == []
    assert ids(merge.put(frame(0, 1.0, "a"), 1.1)) == ["a0", "b0"]
    assert ids(merge.put(frame(1, 1.2, "a"), 1.2)) == []
    assert merge.next_due_s() == pytest.approx(1.4)
    assert ids(merge.due(1.4)) == ["a1"]
    assert merge.next_due_s() is None


def test_nobody_waits_for_a_source_that_is_over_or_silent() -> None:
    merge = Merge(LATENESS_S)
    for source in "abc":
        merge.put(frame(0, 0.0, source), 0.0)
    assert ids(merge.put(said("ended", 1, 0.1, "a"), 0.1)) == []
    assert ids(merge.put(said("offline", 1, 0.1, "b"), 0.1)) == []
    assert ids(merge.put(frame(1, 0.2, "c"), 0.2)) == ["a ended", "b offline", "c1"]
    merge.put(frame(0, 0.3, "a", "s2"), 0.3)
    merge.due(1.0)
    assert ids(merge.put(frame(2, 59.0, "c"), 59.0)) == []
    assert ids(merge.put(frame(3, 61.0, "c"), 61.0)) == ["c2", "c3"]


def test_a_source_keeps_its_order_when_its_clock_is_set_back() -> None:
    merge = Merge(LATENESS_S)
    merge.put(frame(0, 0.0, "b"), 0.0)
    merge.put(frame(0, 5.0, "a"), 0.0)
    merge.put(frame(1, 1.0, "a"), 0.1)
    assert ids(merge.put(said("started", None, 2.0, "a", "s2"), 0.1)) == []
    assert ids(merge.put(frame(1, 6.0, "b"), 0.1)) == ["a0", "a1", "a started"]


def test_a_host_whose_clock_is_ahead_makes_the_others_late_but_stops_none() -> None:
    merge = Merge(LATENESS_S)
    for number in range(20):
        at_s = number * 0.1
        merge.put(frame(number, 3600.0 + at_s, "ahead"), at_s)
        assert ids(merge.put(frame(number, at_s, "right"), at_s)) == [f"right{number}"]
    assert merge.late == 20


def test_the_first_frames_may_be_captured_before_their_session_is_opened() -> None:
    """A producer opens the video first, and reads ahead."""
    merge = Merge(LATENESS_S, drop_late=True)
    merge.put(frame(0, 1.0, "a"), 1.0)
    assert ids(merge.put(said("started", None, 1.3, "b"), 1.3)) == ["b started"]
    assert ids(merge.put(frame(1, 1.25, "a"), 1.3)) == []
    assert ids(merge.put(frame(0, 1.2, "b"), 1.4)) == ["b0"]
    assert ids(merge.put(frame(1, 1.3, "b"), 1.4)) == ["a1"]
    assert merge.late == 0


def test_source_records_come_through_however_late() -> None:
    merge = Merge(LATENESS_S, drop_late=True)
    merge.put(frame(0, 9.0, "a"), 0.0)
    assert ids(merge.put(said("ended", 7, 1.0, "b"), 0.1)) == ["b ended"]
    assert merge.late == 0


def test_a_line_that_would_grow_lets_the_first_go() -> None:
    merge = Merge(3600.0)
    merge.expect("b", 0.0)
    out = [r for n in range(20_000) for r in merge.put(frame(n, n * 0.01, "a"), 0.0)]
    assert ids(out) == [f"a{n}" for n in range(20_000 - 16_384)]
    assert len(merge.flush()) == 16_384


def test_all_wait_for_a_source_that_order_holds_back() -> None:
    timeline = Timeline(LATENESS_S)
    assert timeline.put(frame(6, 0.0, "a"), 0.0) == []  # joined in the middle
    assert timeline.put(frame(4, 0.01, "b"), 0.0) == []
    assert timeline.put(frame(5, 0.0, "a"), 0.1) == []
    assert timeline.next_due_s() == pytest.approx(0.2)
    assert ids(timeline.due(0.2)) == ["a5", "a6", "b4"]
    assert timeline.put(frame(9, 1.0, "b"), 1.0) == []
    assert timeline.put(frame(7, 0.9, "a"), 1.1) == []
    assert ids(timeline.flush()) == ["a7", "b9"]
    assert (timeline.late, timeline.missing) == (0, 4)
