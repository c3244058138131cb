"""An even pace from uneven arrivals, and the same frames whatever the arrivals."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.sinks.control import ControlFrame
from consumer.sinks.playout import Playout, Ticks
from contract.event import SourceRecord
from contract.smoothed import Signal, SmoothedEvent
from tests.signals import START_NS, Played, at, event, intervals_s, person, play, record, transition
from tests.unit.arrivals import BUSY

_TRANSIT_S = 500.0  # what lies between the two clocks


def _signals(seconds: float, fps: float = 15.0, source: str = "lobby") -> list[Signal]:
    """Somebody whose happiness rises and falls; they change expression every second."""
    signals: list[Signal] = [record(0.0, "started", source=source)]
    for n in range(int(seconds * fps)):
        t = 0.013 + n / fps
        if n == 1:
            signals.append(transition(t, source=source))
        elif n > 1 and n % int(fps) == 0:
            signals.append(transition(t, "emotion_changed", before="neutral", source=source))
        people = [person(happiness=0.5 + 0.4 * math.sin(t))] if n >= 1 else []
        signals.append(event(t, *people, source=source))
    return signals


def _arrivals(
    signals: Sequence[Signal], jitter_s: Sequence[float], *, speed: float = 1.0
) -> list[tuple[float, Signal]]:
    """Each comes so much later than the quickest would; never before one that was sent earlier."""
    arrivals, latest_s = [], 0.0
    for signal, late_s in zip(signals, jitter_s, strict=True):
        captured_ns = signal.captured_at_ns if isinstance(signal, SmoothedEvent) else signal.at_ns
        came_s = _TRANSIT_S + (captured_ns - START_NS) / 1e9 / speed + late_s
        latest_s = max(latest_s, came_s)
        arrivals.append((latest_s, signal))
    return arrivals


def _jitter(count: int, most_s: float, seed: int) -> list[float]:
    generator = random.Random(seed)
    return [generator.uniform(0.0, most_s) for _ in range(count)]


def _frames(played: Sequence[Played]) -> list[ControlFrame]:
    return [each.frame for each in played]


@BUSY
@given(st.data(), st.sampled_from([5.0, 10.0, 29.97]), st.sampled_from([5.0, 15.0, 30.0]))
def test_two_jitters_below_the_delay_give_the_same_frames(
    data: st.DataObject, rate_hz: float, fps: float
) -> None:
    signals = _signals(3.0, fps)
    runs = []
    for _ in range(2):
        jitter = data.draw(
            st.lists(st.floats(0.0, 0.15), min_size=len(signals), max_size=len(signals))
        )
        playout = Playout(rate_hz, delay_s=0.16 + 1 / fps)
        runs.append(_frames(play(playout, _arrivals(signals, jitter), _TRANSIT_S + 2.5)))
        assert playout.underruns == 0
    common = min(len(run) for run in runs)
    assert common > 2.0 * rate_hz
    assert runs[0][:common] == runs[1][:common]


def test_every_tick_has_a_multiple_of_the_period_and_the_values_of_that_moment() -> None:
    signals = _signals(4.0)
    played = play(Playout(10.0, 0.2), _arrivals(signals, [0.0] * len(signals)), _TRANSIT_S + 4.0)
    frames = [frame for frame in _frames(played) if frame.people]
    assert len(frames) >= 35
    for before, frame in itertools.pairwise(frames):
        assert frame.at_ns - before.at_ns == 100_000_000
        assert frame.at_ns % 100_000_000 == 0
        t = (frame.at_ns - START_NS) / 1e9
        (somebody,) = frame.people or ()
        # A chord of the sine: between two frames 67 ms apart it is off by less than a thousandth.
        assert somebody.scores["happiness"] == pytest.approx(0.5 + 0.4 * math.sin(t), abs=1e-3)
        assert not frame.held


def test_every_change_is_told_once_and_in_order() -> None:
    signals = [*_signals(5.0), transition(5.0, "person_left"), record(5.0, "ended")]
    changes = [signal for signal in signals if not isinstance(signal, SmoothedEvent)]
    for jitter_s in (0.0, 0.3):
        playout = Playout(10.0)
        arrivals = _arrivals(signals, _jitter(len(signals), jitter_s, seed=3))
        played = play(playout, arrivals, _TRANSIT_S + 10.0)
        assert [change for frame in _frames(played) for change in frame.changes] == changes
        assert played[-1].frame.people == ()
        assert playout.due_s() is None


def test_the_pace_is_even_while_arrivals_are_not() -> None:
    signals = _signals(60.0)
    arrivals = _arrivals(signals, _jitter(len(signals), 0.08, seed=1))
    played = play(Playout(10.0), arrivals, _TRANSIT_S + 60.0)
    steady = intervals_s([each for each in played if each.now_s > _TRANSIT_S + 1.0])
    assert len(steady) > 580
    assert max(steady) < 0.1011
    assert min(steady) > 0.0989


def test_the_automatic_delay_is_about_a_frame_and_the_jitter() -> None:
    for fps, jitter_s in ((5.0, 0.0), (15.0, 0.0), (15.0, 0.05), (30.0, 0.02)):
        signals = _signals(60.0, fps)
        playout = Playout(10.0)
        arrivals = _arrivals(signals, _jitter(len(signals), jitter_s, seed=2))
        played = play(playout, arrivals, _TRANSIT_S + 59.5)
        last = played[-1]
        delay_s = last.now_s - _TRANSIT_S - (last.frame.at_ns - START_NS) / 1e9
        assert 1 / fps <= delay_s <= 1 / fps + jitter_s + 0.025
        assert playout.underruns < 20


def test_data_that_comes_too_late_is_waited_for_at_the_same_pace() -> None:
    signals = _signals(20.0)
    jitter = [0.25 if 5.0 < n / 15 < 5.4 else 0.0 for n in range(len(signals))]
    playout = Playout(10.0)
    played = play(playout, _arrivals(signals, jitter), _TRANSIT_S + 19.0)
    assert 1 <= playout.underruns <= 6
    held = [each for each in played if each.frame.held]
    assert len(held) == playout.underruns
    times = [each.frame.at_ns for each in played if not each.frame.held]
    assert times == sorted(set(times))
    assert playout.skipped == 0
    assert max(intervals_s(played[3:])) < 0.1011
    # It was late by as much as it waited, and crept back since.
    delays = [each.now_s - (each.frame.at_ns - START_NS) / 1e9 for each in played]
    assert max(delays) - delays[-1] > 0.1
    assert all(b - a >= -0.0011 for a, b in itertools.pairwise(delays[3:]))


def test_a_fixed_delay_does_not_grow() -> None:
    signals = _signals(10.0)
    jitter = [0.4 if 5.0 < n / 15 < 5.4 else 0.0 for n in range(len(signals))]
    playout = Playout(10.0, delay_s=0.15)
    played = play(playout, _arrivals(signals, jitter), _TRANSIT_S + 9.0)
    assert playout.underruns >= 2
    for each in played[2:]:
        assert each.now_s - _TRANSIT_S - (each.frame.at_ns - START_NS) / 1e9 == pytest.approx(0.15)


def test_a_source_that_stands_still_is_held_and_its_people_leave_when_the_chain_says_so() -> None:
    signals: list[Signal] = [*_signals(3.0), transition(5.0, "person_left"), record(7.0, "offline")]
    arrivals = _arrivals(signals, [0.0] * len(signals))
    playout = Playout(10.0)
    played = play(playout, arrivals, _TRANSIT_S + 20.0)
    assert playout.due_s() is None
    still = [each for each in played if 3.5 < each.now_s - _TRANSIT_S < 4.9]
    assert len(still) == 14
    assert all(each.frame.held and each.frame.people for each in still)
    (left,) = [each for each in played if arrivals[-2][1] in each.frame.changes]
    assert left.now_s - arrivals[-2][0] < 0.5
    assert left.frame.people == ()
    assert isinstance(played[-1].frame.changes[-1], SourceRecord)
    assert played[-1].now_s - arrivals[-1][0] < 0.5


def test_after_a_pause_it_goes_on_without_the_pause_as_delay() -> None:
    first, second = _signals(3.0), _signals(12.0)
    signals = first + [each for each in second[1:] if _second(each) > 6.0]
    playout = Playout(10.0)
    played = play(playout, _arrivals(signals, [0.0] * len(signals)), _TRANSIT_S + 11.0)
    last = played[-1]
    assert last.now_s - _TRANSIT_S - (last.frame.at_ns - START_NS) / 1e9 < 0.3
    assert not last.frame.held
    assert max(intervals_s(played[3:])) < 0.1011


def test_a_backlog_is_not_played_late_for_ever() -> None:
    signals = _signals(600.0, fps=10.0)
    backlog = 5000  # read at once, 500 s after it began; the rest comes live
    jitter = [max(0.0, 500.0 - _second(each)) if n < backlog else 0.0
              for n, each in enumerate(signals)]  # fmt: skip
    playout = Playout(10.0)
    played = play(playout, _arrivals(signals, jitter), _TRANSIT_S + 520.0)
    for each in played:
        late_s = each.now_s - _TRANSIT_S - (each.frame.at_ns - START_NS) / 1e9
        assert each.now_s < _TRANSIT_S + 501.0 or late_s < 2.2
        assert each.now_s < _TRANSIT_S + 512.0 or late_s < 0.6
    changes = [change for frame in _frames(played) for change in frame.changes]
    assert changes == [
        each for each in signals if not isinstance(each, SmoothedEvent) and _second(each) < 519.5
    ]


def test_a_replay_at_twice_the_speed_ticks_at_the_same_rate() -> None:
    signals = _signals(20.0)
    arrivals = _arrivals(signals, _jitter(len(signals), 0.02, seed=4), speed=2.0)
    played = play(Playout(10.0, speed=2.0), arrivals, _TRANSIT_S + 9.5)
    assert max(intervals_s(played[3:])) < 0.1011
    steps = {b.frame.at_ns - a.frame.at_ns for a, b in itertools.pairwise(played[3:])}
    assert steps == {200_000_000}


def test_sources_on_different_clocks_are_played_beside_each_other() -> None:
    hall = _arrivals(_signals(5.0, source="hall"), [0.0] * len(_signals(5.0)))
    lobby = [(now_s + 0.04, signal) for now_s, signal in
             _arrivals(_signals(5.0, fps=5.0), [1000.0] * len(_signals(5.0, fps=5.0)))]  # fmt: skip
    hall = [(now_s + 1000.0, signal) for now_s, signal in hall]
    arrivals = sorted(hall + lobby, key=lambda each: each[0])
    played = play(Playout(10.0), arrivals, _TRANSIT_S + 1004.5)
    for source in ("hall", "lobby"):
        own = [each for each in played if each.frame.source == source]
        assert len(own) > 40
        assert max(intervals_s(own[3:])) < 0.1011


def test_a_session_played_again_starts_again() -> None:
    signals = _signals(3.0)
    again = [event(0.05 + n / 15, person(), session="s2") for n in range(30)]
    playout = Playout(10.0)
    arrivals = _arrivals(signals, [0.0] * len(signals))
    arrivals += [(now_s + 3.5, signal) for now_s, signal in _arrivals(again, [0.0] * 30)]
    played = play(playout, arrivals, _TRANSIT_S + 5.0)
    assert at(1.3) < played[-1].frame.at_ns < at(1.6)
    assert not played[-1].frame.held
    changes = [change for frame in _frames(played) for change in frame.changes]
    assert changes == [each for each in signals if not isinstance(each, SmoothedEvent)]


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    before = [event(n / 15, person()) for n in range(150)]
    after = [event(n / 15, person()) for n in range(150)]
    arrivals = _arrivals(before, [0.0] * 150)
    arrivals += [(now_s + 10.0, signal) for now_s, signal in _arrivals(after, [0.0] * 150)]
    playout = Playout(10.0)
    played = play(playout, arrivals, _TRANSIT_S + 19.5)
    assert playout.late == 0
    assert sum(each.frame.held for each in played) <= 3
    assert at(9.0) < played[-1].frame.at_ns < at(9.5)


def test_a_thread_that_did_not_run_leaves_ticks_out_and_no_changes() -> None:
    signals = _signals(5.0)
    playout = Playout(10.0)
    for now_s, signal in _arrivals(signals, [0.0] * len(signals)):
        playout.add(signal, now_s)
    frames = playout.tick(_TRANSIT_S + 5.0) + playout.tick(_TRANSIT_S + 5.1)
    assert len(frames) == 2
    assert playout.skipped > 40
    told = [change for frame in frames + playout.finish() for change in frame.changes]
    assert told == [each for each in signals[1:] if not isinstance(each, SmoothedEvent)]


def test_without_a_rate_every_signal_is_a_frame_at_once() -> None:
    playout = Playout(0.0)
    entered, seen = transition(0.1), event(0.1, person())
    assert playout.add(entered, 1.0) == [ControlFrame("lobby", at(0.1), None, None, (entered,))]
    assert playout.add(seen, 1.0) == [ControlFrame("lobby", at(0.1), seen.people, seen.room)]
    assert playout.due_s() is None
    assert playout.finish() == []


def test_a_source_that_fell_silent_without_a_word_is_forgotten() -> None:
    signals = _signals(3.0)
    playout = Playout(10.0)
    play(playout, _arrivals(signals, [0.0] * len(signals)), _TRANSIT_S + 70.0)
    assert playout.due_s() is None


def test_ticks_do_not_drift() -> None:
    ticks = Ticks(30.0)
    k = ticks.first(START_NS)
    assert ticks.at_ns(k) >= START_NS > ticks.at_ns(k - 1)
    assert ticks.at_ns(k + 30 * 86_400) - ticks.at_ns(k) == 86_400_000_000_000


@pytest.mark.parametrize("options", [{"rate_hz": -1.0}, {"speed": 0.0}, {"delay_s": -0.1}])
def test_nonsense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Playout(**options)


def _second(signal: Signal) -> float:
    captured_ns = signal.captured_at_ns if isinstance(signal, SmoothedEvent) else signal.at_ns
    return (captured_ns - START_NS) / 1e9


@BUSY
@given(
    gaps_s=st.lists(st.floats(0.005, 3.0), min_size=1, max_size=60),
    late_s=st.floats(0.0, 3.0),
    asleep_s=st.floats(0.0, 2.0),
    delay_s=st.none() | st.floats(0.0, 1.0),
    seed=st.integers(0, 1000),
)
def test_whatever_comes_time_never_goes_back_and_no_change_is_lost(
    gaps_s: list[float], late_s: float, asleep_s: float, delay_s: float | None, seed: int
) -> None:
    generator = random.Random(seed)
    signals: list[Signal] = [record(0.0, "started")]
    t = 0.0
    for gap_s in gaps_s:
        t += gap_s
        if generator.random() < 0.3:
            signals.append(transition(t, "emotion_changed", before="neutral"))
        signals.append(event(t, person(happiness=generator.random())))
    if generator.random() < 0.5:
        signals.append(record(t + 0.5, "offline"))
    playout = Playout(10.0, delay_s)
    frames: list[ControlFrame] = []
    awake_s = -math.inf
    for now_s, signal in _arrivals(signals, _jitter(len(signals), late_s, seed)):
        while (due_s := playout.due_s()) is not None and max(due_s, awake_s) <= now_s:
            frames += playout.tick(max(due_s, awake_s))
            awake_s = due_s + generator.uniform(0.0, asleep_s)
        frames += playout.add(signal, now_s)
    frames += playout.finish()
    times = [frame.at_ns for frame in frames]
    assert times == sorted(times)
    changes = [change for frame in frames for change in frame.changes]
    assert changes == [signal for signal in signals if not isinstance(signal, SmoothedEvent)]
    assert all(0.0 <= p.scores["happiness"] <= 1.0 for f in frames for p in f.people or ())
