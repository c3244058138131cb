"""Which faces are people: the printed face is not, and those that sit like one are."""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import replace

import pytest

from consumer.people.gate import GateOptions
from consumer.people.tracked import TrackedEvent
from consumer.people.tracks import Tracker
from contract.event import EmotionEvent
from tests import cast
from tests.scenes import CALM, Actor, Path, during, film, still, tracks_of, walk, without


def watch(
    events: list[EmotionEvent], gate: GateOptions | None = None, forget_s: float = 1.0
) -> list[TrackedEvent]:
    tracker = Tracker(gate, forget_s=forget_s)
    return [tracker.see(event) for event in events]


def reasons(seen: list[TrackedEvent]) -> Counter[str]:
    return Counter(face.reason for event in seen for face in event.rejected)


def assert_people(seen: list[TrackedEvent], names: set[str]) -> None:
    """Each is one person, from 0.3 s after the first face to the end, whenever it is found."""
    tracks = tracks_of(seen)
    assert tracks.keys() == names
    assert all(len(set(numbers)) == 1 for numbers in tracks.values()), tracks
    first_s: dict[str, float] = {}
    for tracked in seen:
        at_s = cast.media_s(tracked.event)
        people = {person.face.label for person in tracked.people if person.face is not None}
        for name in {face.label for face in tracked.event.faces} - people:
            assert at_s - first_s.setdefault(name, at_s) <= 0.3, (name, tracked.rejected)


def skull(path: Path, **other: float) -> Actor:
    """The print of the clips."""
    return Actor("print", path, squareness=0.95, detail=0.27, detection=0.9, **other)  # type: ignore[arg-type]


WEARER = Actor("wearer", still(640, 200, 95))
ON_CHEST = still(645, 350, 160)


# --- the clips ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [30, 10, 5])
@pytest.mark.parametrize("name", cast.CLIPS)
def test_the_people_of_a_clip_are_all_found_and_nobody_else(name: str, fps: float) -> None:
    clip = cast.CLIPS[name]
    result = cast.judge(watch(cast.at_rate(cast.read(name), fps)), clip.who)
    assert (result.found, result.tracks) == (clip.people, clip.people)
    assert (result.switches, result.false) == (0, 0)
    assert max(result.delays_ms) <= 300
    assert result.lost_s < 0.1  # one frame: a card of the demo stops as nobody could


@pytest.mark.parametrize("name", cast.SHIRTS)
def test_the_print_is_called_one(name: str) -> None:
    rejected = reasons(watch(cast.read(name)))
    assert rejected["printed"] > 0.6 * (rejected.total() - 5)  # 5 are the wearer's first frames


@pytest.mark.parametrize("name", cast.SHIRTS)
def test_without_the_rule_the_print_is_a_person(name: str) -> None:
    seen = watch(cast.read(name), GateOptions(printed_cues=0))
    assert cast.judge(seen, cast.shirt).false >= 1


@pytest.mark.parametrize("name", cast.SHIRTS)
def test_the_print_is_found_without_sharpness(name: str) -> None:
    events = [
        replace(event, faces=tuple(replace(face, sharpness=None) for face in event.faces))
        for event in cast.read(name)
    ]
    result = cast.judge(watch(events), cast.shirt)
    assert (result.tracks, result.false) == (1, 0)


@pytest.mark.parametrize("name", cast.SHIRTS)
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_frames_without_the_wearer_make_no_person_of_the_print(name: str, share: float) -> None:
    for seed in range(20):
        dice = random.Random(seed)
        events = [
            replace(event, faces=tuple(f for f in event.faces if f.box.top > 130))
            if seq > 0 and dice.random() < share
            else event
            for seq, event in enumerate(cast.read(name))
        ]
        result = cast.judge(watch(events), cast.shirt)
        assert (result.tracks, result.false, result.switches) == (1, 0, 0), seed


# --- prints ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_a_print_is_no_person_while_the_wearer_is_missed_and_takes_no_track(fps: float) -> None:
    wearer = replace(WEARER, path=without(WEARER.path, 1.0, 1.9))
    seen = watch(film([wearer, skull(ON_CHEST)], fps=fps))
    assert set(tracks_of(seen)) == {"wearer"}
    assert len(set(tracks_of(seen)["wearer"])) == 1
    missed = [event for event in seen if len(event.event.faces) == 1]
    assert missed
    assert all(person.face is None for event in missed for person in event.people)


def test_a_print_that_appears_while_the_wearer_is_missed_is_none_either() -> None:
    for begin_s in (1.1, 1.4, 1.7):
        wearer = replace(WEARER, path=without(WEARER.path, 1.0, 1.9))
        seen = watch(film([wearer, skull(during(ON_CHEST, begin_s, 9.0))]))
        assert set(tracks_of(seen)) == {"wearer"}


def test_a_print_never_takes_the_track_of_a_wearer_that_is_long_missed() -> None:
    wearer = replace(WEARER, path=without(WEARER.path, 1.0, 3.0))
    tracks = tracks_of(watch(film([wearer, skull(during(ON_CHEST, 1.9, 9.0))])))
    assert set(tracks["wearer"][:10]) == {1}
    assert 1 not in tracks.get("print", [])


def test_a_print_stays_one_after_the_wearer_turned_away_for_seconds() -> None:
    wearer = replace(WEARER, path=without(WEARER.path, 1.0, 5.0))
    seen = watch(film([wearer, skull(without(ON_CHEST, 2.0, 4.5))], seconds=8))
    assert set(tracks_of(seen)) == {"wearer"}


def test_a_print_taken_for_a_person_leaves_when_the_wearer_shows() -> None:
    wearer = replace(WEARER, path=during(WEARER.path, 2.0, 9.0))
    events = film([wearer, skull(ON_CHEST)], seconds=6)
    seen = watch(events)
    assert tracks_of(seen).keys() == {"wearer", "print"}  # nobody could know
    late = seen[round(15 * 2.9) :]
    assert tracks_of(late).keys() == {"wearer"}
    assert {event.people[0].track for event in late} == {2}


def test_a_print_walks_with_its_wearer() -> None:
    """Of a face's size and detail only the shape is odd, until it goes along."""
    wearer = Actor("wearer", walk(200, 200, 120, 95))
    small = Actor("print", walk(205, 330, 120, 90), squareness=0.95)
    seen = watch(film([wearer, small], seconds=6))
    assert tracks_of(seen[:30]).keys() == {"wearer", "print"}
    assert tracks_of(seen[45:]).keys() == {"wearer"}


# --- people where prints are -------------------------------------------------------------------


def sway(x: float, y: float, height: float, phase: float, reach: float = 0.06) -> Path:
    """Somebody who stands as still as people do; `reach` in heights."""
    return lambda at_s: (
        x + reach * height * math.sin(1.7 * at_s + phase),
        y + reach * height * math.sin(2.3 * at_s + 2 * phase),
        height,
    )


@pytest.mark.parametrize("fps", [5, 30])
@pytest.mark.parametrize(("height", "squareness"), [(80, 0.75), (115, 0.75), (100, 1.0)])
@pytest.mark.parametrize("detail", [0.05, 0.14, None])
def test_a_child_in_front_of_an_adult_is_a_person(
    fps: float, height: float, squareness: float, detail: float | None
) -> None:
    """Of its size, nearer by a third, or looking down."""
    adult = Actor("adult", sway(640, 200, 100, 0.0), detail=None if detail is None else 0.07)
    child = Actor("child", sway(650, 285 + height / 2, height, 1.0), squareness, detail)
    assert_people(watch(film([adult, child], fps=fps, seconds=10)), {"adult", "child"})


@pytest.mark.parametrize("detail", [0.05, 0.12])
def test_two_rows_of_an_audience_are_people(detail: float) -> None:
    """The front row is nearer by 1.8, and some look at their telephones."""
    back = [Actor(f"back{n}", sway(200 + 180 * n, 150, 70, n)) for n in range(6)]
    front = [
        Actor(f"front{n}", sway(205 + 180 * n, 290, 126, 2 + n), 0.75, detail) for n in range(6)
    ]
    down = [replace(actor, squareness=1.0) for actor in front[:2]]
    actors = [*back, *down, *front[2:]]
    seen = watch(film(actors, seconds=10))
    assert_people(seen, {actor.name for actor in actors})


def test_a_child_that_walks_hand_in_hand_in_front_of_an_adult_is_a_person() -> None:
    adult = Actor("adult", walk(200, 200, 120, 100))
    child = Actor("child", walk(205, 330, 120, 85))
    assert_people(watch(film([adult, child], seconds=6)), {"adult", "child"})


def test_somebody_bending_down_before_another_is_a_person() -> None:
    """As large, square and sharp as a print; but it came from where no print could."""

    def bend(at_s: float) -> tuple[float, float, float]:
        share = min(1.0, max(0.0, (at_s - 2.0) / 0.8))
        return 900 - 255 * share, 200 + 170 * share, 130 + 20 * share

    bending = Actor("bending", bend, squareness=0.95, detail=0.27)
    seen = watch(film([WEARER, bending], seconds=25))
    assert_people(seen, {"wearer", "bending"})


def test_somebody_passing_below_is_a_person() -> None:
    passing = Actor("passing", walk(100, 350, 200, 150), squareness=0.95, detail=0.27)
    assert_people(watch(film([WEARER, passing], seconds=5)), {"wearer", "passing"})


def test_somebody_taken_for_a_print_becomes_a_person_by_moving() -> None:
    def rise(at_s: float) -> tuple[float, float, float]:
        return 645 + (150 if at_s > 3 else 50 * max(0.0, at_s - 2.0) * 3), 350, 160

    seen = watch(film([WEARER, skull(rise)], seconds=6))
    assert tracks_of(seen[:30]).keys() == {"wearer"}
    assert tracks_of(seen[60:]).keys() == {"wearer", "print"}
    assert {person.track for person in seen[-1].people} == {1, 2}


def test_somebody_taken_for_a_print_is_cleared_by_leaning_as_no_chest_does() -> None:
    leaning = skull(lambda at_s: (645, 350 + 80 * min(1.0, max(0.0, at_s - 2.0) / 0.5), 160))
    seen = watch(film([WEARER, leaning], seconds=8))
    assert tracks_of(seen[:30]).keys() == {"wearer"}
    assert tracks_of(seen[40:]).keys() == {"wearer", "print"}


def test_somebody_taken_for_a_print_becomes_a_person_by_looking_up() -> None:
    """Larger and sharper are two cues, and two are not enough."""
    down = skull(during(ON_CHEST, 0.0, 2.0))
    up = Actor("print", during(ON_CHEST, 2.0, 99.0), squareness=0.72, detail=0.27)
    seen = watch(film([WEARER, down, up], seconds=10))
    assert tracks_of(seen[:30]).keys() == {"wearer"}
    assert tracks_of(seen[100:]).keys() == {"wearer", "print"}


# --- a face on its own -------------------------------------------------------------------------


def flicker(at_s: float) -> dict[str, float]:
    return CALM if int(at_s * 5) % 2 else {"neutral": 0.1, "happiness": 0.9}


@pytest.mark.parametrize(
    ("actor", "reason", "off"),
    [
        (Actor("a", still(300, 300, 18)), "small", GateOptions(small_px=0)),
        (Actor("a", still(300, 300), detection=0.51), "unsure", GateOptions(unsure=0)),
        (Actor("a", still(300, 300), detail=0.001), "blurred", GateOptions(blurred=0)),
        (Actor("a", still(300, 300), scores=flicker), "erratic", GateOptions(erratic_per_s=0)),
        (Actor("a", during(still(300, 300), 1.0, 1.1)), "brief", GateOptions(brief_s=0)),
    ],
)  # fmt: skip
def test_each_rule_has_its_reason_and_can_be_switched_off(
    actor: Actor, reason: str, off: GateOptions
) -> None:
    events = film([actor], jitter=0.0)
    judged = watch(events)
    late = judged[30:] if reason != "brief" else judged
    assert set(reasons(late)) == {reason}
    assert not any(event.people for event in late)
    free = watch(events, off)
    assert reason not in reasons(free)
    assert tracks_of(free).keys() == {"a"}


def test_one_bad_frame_loses_nobody() -> None:
    events = film([Actor("a", still(300, 300))])
    face = events[30].faces[0]
    events[30] = replace(
        events[30], faces=(replace(face, detection=0.5, sharpness=0.0, scores={"anger": 1.0}),)
    )
    assert_people(watch(events), {"a"})


def test_a_person_that_becomes_implausible_leaves_and_comes_back_as_the_same() -> None:
    shrinking = Actor("a", lambda at_s: (300, 300, 40 - 28 * math.sin(math.pi * at_s / 8)))
    seen = watch(film([shrinking], seconds=8, jitter=0.0))
    assert seen[20].people
    assert not seen[75].people
    assert seen[75].rejected[0].reason == "small"
    assert [person.track for person in seen[-1].people] == [1]


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_impossible_thresholds_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="small_px: expected 0 or more"):
        GateOptions(small_px=value)
