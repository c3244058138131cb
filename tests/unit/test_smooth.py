"""Steady in seconds, not in frames; a label that does not flicker; a room that does not jump."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.people.room import certainty
from consumer.people.smooth import Smoother, SmoothOptions, smoothed
from consumer.people.tracked import TrackedEvent, TrackedFace
from contract.affect import valence_arousal
from contract.event import Box, EmotionEvent, FaceEmotion, SourceRecord
from contract.smoothed import Person, SmoothedEvent, Transition

BOX = Box(10, 10, 60, 70)
HAPPY = {"neutral": 0.1, "happiness": 0.8, "anger": 0.1}
ANGRY = {"neutral": 0.1, "happiness": 0.1, "anger": 0.8}
EVEN = {"neutral": 0.3, "happiness": 0.36, "anger": 0.34}
Seen = dict[int, dict[str, float] | None]  # track -> scores, None if not seen in this frame


def event(at_s: float, faces: tuple[FaceEmotion, ...] = (), *, pts: bool = True) -> EmotionEvent:
    at_ns = 10**18 + round(at_s * 1e9)
    pts_ns = round(at_s * 1e9) if pts else None
    return EmotionEvent("cam", "s", round(at_s * 1000), at_ns, pts_ns, at_ns, 640, 480, "m", faces)


def tracked(at_s: float, seen: Seen, box: Box = BOX) -> TrackedEvent:
    people = []
    for track, scores in seen.items():
        face = None
        if scores is not None:
            label = max(scores, key=scores.__getitem__)
            face = FaceEmotion(box, 0.9, label, scores, *valence_arousal(scores))
        people.append(TrackedFace(track, track, box, face))
    return TrackedEvent(event(at_s), tuple(people), ())


def run(frames: Iterable[tuple[float, Seen]], **options: float) -> list[SmoothedEvent | Transition]:
    smoother = Smoother(SmoothOptions(**options))  # type: ignore[arg-type]
    return [signal for at_s, seen in frames for signal in smoother.see(tracked(at_s, seen))]


def people(signals: Sequence[object]) -> list[Person]:
    return [s.people[0] for s in signals if isinstance(s, SmoothedEvent) and s.people]


def changes(signals: Sequence[object]) -> list[tuple[str, int, str | None, str]]:
    return [(s.change, s.track, s.before, s.label) for s in signals if isinstance(s, Transition)]


@pytest.mark.parametrize("fps", [3, 5, 10, 30, 100])
def test_a_step_arrives_by_the_time_constant_at_any_frame_rate(fps: int) -> None:
    before = [(n / fps, {1: HAPPY}) for n in range(5 * fps)]
    after = [(5 + n / fps, {1: ANGRY}) for n in range(4 * fps)]
    steady = people(run([*before, *after], smoothing_s=1.0))
    for seconds in (1, 2, 3):
        # The first angry frame stands for the interval before it: one frame more than `seconds`.
        share = 1 - math.exp(-(seconds + 1 / fps))
        expected = 0.1 + 0.7 * share
        assert steady[(5 + seconds) * fps].scores["anger"] == pytest.approx(expected, abs=0.01)


@given(
    st.lists(st.floats(0.001, 2.0), min_size=1, max_size=20),
    st.lists(st.sampled_from([HAPPY, ANGRY, EVEN]), min_size=20, max_size=20),
)
def test_scores_stay_probabilities_at_any_spacing(
    gaps: list[float], scores: list[dict[str, float]]
) -> None:
    at_s, frames = 0.0, []
    for gap, given_scores in zip(gaps, scores, strict=False):
        at_s += gap
        frames.append((at_s, {1: given_scores}))
    for person in people(run(frames, smoothing_s=0.4)):
        assert sum(person.scores.values()) == pytest.approx(1.0)
        assert all(0.0 <= p <= 1.0 for p in person.scores.values())
        assert (person.valence, person.arousal) == valence_arousal(person.scores)


def test_zero_is_raw() -> None:
    wild = [HAPPY, ANGRY, EVEN, HAPPY, ANGRY]
    frames: list[tuple[float, Seen]] = [(n / 10, {1: scores}) for n, scores in enumerate(wild)]
    signals = run(frames, smoothing_s=0.0, dwell_s=0.0)
    assert [person.scores for person in people(signals)] == [pytest.approx(s) for s in wild]
    assert [person.label for person in people(signals)] == [
        "happiness", "anger", "happiness", "happiness", "anger",
    ]  # fmt: skip
    assert [change for change, *_ in changes(signals)] == [
        "person_entered", "emotion_changed", "emotion_changed", "emotion_changed",
    ]  # fmt: skip


def test_one_odd_first_frame_does_not_decide_a_time_constant() -> None:
    frames: list[tuple[float, Seen]] = [(0.0, {1: ANGRY})]
    frames += [(n / 10, {1: HAPPY}) for n in range(1, 4)]
    # An exponential filter that starts with its first sample would still hold 47 % of it.
    assert people(run(frames, smoothing_s=0.4))[-1].scores["anger"] < 0.25


def test_a_label_stays_for_its_dwell_and_then_needs_a_lead() -> None:
    flicker = [HAPPY, HAPPY, ANGRY, ANGRY]  # every 0.2 s another one
    frames: list[tuple[float, Seen]] = [(n / 10, {1: flicker[n % 4]}) for n in range(100)]
    raw = changes(run(frames, smoothing_s=0.0, dwell_s=0.0))
    steady = changes(run(frames, smoothing_s=0.0, dwell_s=1.0))
    assert len(raw) > 45
    assert 2 <= len(steady) <= 11

    frames = [(0.0, {1: HAPPY})] + [(n / 10, {1: EVEN}) for n in range(1, 50)]
    nearly = [
        (5 + n / 10, {1: {"neutral": 0.3, "happiness": 0.34, "anger": 0.36}}) for n in range(50)
    ]
    assert changes(run([*frames, *nearly], dwell_s=1.0, hysteresis=0.1))[1:] == []
    late = changes(run([*frames, *nearly], dwell_s=1.0, hysteresis=0.0))
    assert late[1:] == [("emotion_changed", 1, "happiness", "anger")]


def test_people_come_stay_through_gaps_and_leave() -> None:
    frames: list[tuple[float, Seen]] = [
        (0.0, {}),
        (0.1, {1: HAPPY}),
        (0.2, {1: None, 2: ANGRY}),
        (0.3, {1: HAPPY, 2: ANGRY}),
        (0.4, {2: ANGRY}),
        (0.5, {}),
    ]
    signals = run(frames)
    assert changes(signals) == [
        ("person_entered", 1, None, "happiness"),
        ("person_entered", 2, None, "anger"),
        ("person_left", 1, None, "happiness"),
        ("person_left", 2, None, "anger"),
    ]
    events = [signal for signal in signals if isinstance(signal, SmoothedEvent)]
    assert [[p.seen for p in e.people] for e in events] == [
        [], [True], [False, True], [True, True], [True], [],
    ]  # fmt: skip
    assert events[2].people[0].scores == events[1].people[0].scores
    # A transition stands before the event it belongs to.
    assert isinstance(signals[-2], Transition)
    assert signals[-2].at_ns == events[-1].captured_at_ns


def test_everybody_leaves_with_the_source() -> None:
    records = [
        SourceRecord("cam", "s", "started", 0),
        tracked(0.0, {1: HAPPY, 2: ANGRY}),
        SourceRecord("cam", "s", "offline", 77),
        tracked(1.0, {3: HAPPY}),
    ]
    signals = list(smoothed(records))
    kinds = [s.change if isinstance(s, Transition) else type(s).__name__ for s in signals]
    assert kinds == [
        "SourceRecord", "person_entered", "person_entered", "SmoothedEvent", "person_left",
        "person_left", "SourceRecord", "person_entered", "SmoothedEvent",
    ]  # fmt: skip
    left = [s for s in signals if isinstance(s, Transition) and s.change == "person_left"]
    assert [transition.at_ns for transition in left] == [77, 77]


def test_who_left_in_silence_comes_back_by_being_seen() -> None:
    smoother = Smoother()
    smoother.see(tracked(0.0, {1: HAPPY}))
    assert [left.track for left in smoother.end(5)] == [1]
    assert smoother.end(6) == []
    (still,) = smoother.see(tracked(0.1, {1: None}))
    assert isinstance(still, SmoothedEvent)
    assert still.people == ()
    assert changes(smoother.see(tracked(0.2, {1: ANGRY}))) == [("person_entered", 1, None, "anger")]


def test_another_model_may_take_over() -> None:
    other = {"calm": 0.9, "glad": 0.1}
    frames: list[tuple[float, Seen]] = [(0.0, {1: HAPPY}), (0.1, {1: other}), (9.0, {1: other})]
    first, second, third = people(run(frames))
    assert set(second.scores) == set(HAPPY) | set(other)
    assert sum(second.scores.values()) == pytest.approx(1.0)
    assert third.scores["calm"] == pytest.approx(0.9)
    assert first.label == "happiness"
    assert third.label == "calm"


def test_the_emotions_of_a_model_that_is_gone_are_forgotten() -> None:
    other = {"calm": 0.9, "glad": 0.1}
    frames: list[tuple[float, Seen]] = [(n / 10, {1: HAPPY}) for n in range(20)]
    frames += [(2 + n / 10, {1: other}) for n in range(80)]
    frames += [(10 + n / 10, {1: HAPPY}) for n in range(80)]  # and back again
    seen = people(run(frames, smoothing_s=0.4))
    assert [set(seen[at].scores) for at in (19, 20, 99, 100, -1)] == [
        set(HAPPY), {*HAPPY, *other}, set(other), {*HAPPY, *other}, set(HAPPY),
    ]  # fmt: skip
    assert all(sum(person.scores.values()) == pytest.approx(1.0, abs=1e-5) for person in seen)


def test_two_models_may_take_turns() -> None:
    other = {"calm": 0.6, "happiness": 0.4}
    frames: list[tuple[float, Seen]] = [(n / 10, {1: (HAPPY, other)[n % 2]}) for n in range(100)]
    signals = run(frames, smoothing_s=0.4)
    seen = people(signals)
    assert changes(signals) == [("person_entered", 1, None, "happiness")]
    for each in seen[50:]:
        assert sum(each.scores.values()) == pytest.approx(1.0)
        assert each.scores["calm"] == pytest.approx(0.3, abs=0.05)


def room(frames: Iterable[tuple[float, Seen]], **options: float) -> list[tuple[float, float]]:
    events = [s for s in run(frames, **options) if isinstance(s, SmoothedEvent)]
    return [(e.room.valence, e.room.arousal) for e in events if e.room is not None]


def test_alone_the_room_is_the_person_without_delay() -> None:
    frames: list[tuple[float, Seen]] = [
        (n / 10, {1: HAPPY if n < 20 else ANGRY}) for n in range(40)
    ]
    persons = [(p.valence, p.arousal) for p in people(run(frames))]
    assert room(frames) == [pytest.approx(pair) for pair in persons]


def test_somebody_who_comes_or_goes_is_faded() -> None:
    frames: list[tuple[float, Seen]] = [(n / 10, {1: HAPPY}) for n in range(20)]
    frames += [(2 + n / 10, {1: HAPPY, 2: ANGRY}) for n in range(40)]
    frames += [(6 + n / 10, {1: HAPPY}) for n in range(40)]
    valences = [valence for valence, _ in room(frames, smoothing_s=0.4)]
    alone, together = valences[10], valences[59]
    middle = (valence_arousal(HAPPY)[0] + valence_arousal(ANGRY)[0]) / 2
    assert together == pytest.approx(middle, abs=0.001)
    assert valences[-1] == pytest.approx(alone, abs=0.01)
    steps = [abs(b - a) for a, b in pairwise(valences)]
    assert max(steps) < 0.4 * abs(alone - together)  # raw: all of it at once
    raw = [valence for valence, _ in room(frames, smoothing_s=0.0)]
    assert max(abs(b - a) for a, b in pairwise(raw)) == pytest.approx(
        abs(alone - middle), abs=0.001
    )


def test_near_and_certain_people_count_more() -> None:
    smoother = Smoother(SmoothOptions(smoothing_s=0.0))
    near, far = Box(0, 0, 100, 120), Box(200, 0, 250, 60)
    pair = TrackedEvent(
        event(0.0),
        (
            tracked(0.0, {1: HAPPY}, near).people[0],
            tracked(0.0, {2: ANGRY}, far).people[0],
        ),
        (),
    )
    both = smoother.see(pair)[-1]
    assert isinstance(both, SmoothedEvent)
    assert both.room is not None
    happy, angry = valence_arousal(HAPPY)[0], valence_arousal(ANGRY)[0]
    assert both.room.valence == pytest.approx((2 * happy + angry) / 3)
    assert certainty({"a": 1.0, "b": 0.0}) == 1.0
    assert certainty({"a": 0.5, "b": 0.5}) == pytest.approx(0.0)
    assert certainty({"a": 1.0}) == 1.0
    assert certainty(HAPPY) > certainty(EVEN)


def test_time_is_the_medias_where_it_advanced() -> None:
    # A file read at a hundred times its speed: capture times are 1 ms apart, frames 100 ms.
    def frame(n: int, scores: dict[str, float]) -> TrackedEvent:
        seen = tracked(n / 10, {1: scores})
        fast = EmotionEvent(
            "cam", "s", n, 10**18 + n * 10**6, n * 10**8, 10**18, 640, 480, "m", ()
        )  # fmt: skip
        return TrackedEvent(fast, seen.people, ())

    smoother = Smoother(SmoothOptions(smoothing_s=0.5))
    for n in range(20):
        smoother.see(frame(n, HAPPY))
    for n in range(20, 31):
        last = smoother.see(frame(n, ANGRY))[-1]
    assert isinstance(last, SmoothedEvent)
    assert last.people[0].scores["anger"] == pytest.approx(
        0.1 + 0.7 * (1 - math.exp(-2.2)), abs=0.01
    )


def test_after_everybody_left_the_room_is_whose_it_is_then() -> None:
    smoother = Smoother(SmoothOptions(smoothing_s=1.0))
    for n in range(20):
        smoother.see(tracked(n / 10, {1: HAPPY}))
    smoother.end(10**18 + 2 * 10**9)
    (steady,) = [s for s in smoother.see(tracked(2.1, {2: ANGRY})) if isinstance(s, SmoothedEvent)]
    assert steady.room is not None
    assert steady.room.valence == pytest.approx(steady.people[0].valence)
