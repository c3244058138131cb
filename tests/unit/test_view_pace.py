"""Which frames the live view reads along, against sources that publish at their own rates."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import NamedTuple

import pytest

from consumer.view.pace import Pace


class Tapped(NamedTuple):
    read: Counter[str]
    kept: Counter[str]


def tapped(pace: Pace, rates: dict[str, float], *, seconds: float, size: int = 50_000) -> Tapped:
    """What a tap does with streams of these rates, on a clock of its own."""
    published = sorted(
        (number / rate + 0.001 * at, name)
        for at, (name, rate) in enumerate(rates.items())
        for number in range(int(seconds * rate))
    )
    read: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    bursting = False
    for now_s, name in published:
        if not bursting and not pace.pause_s(now_s):
            pace.begin(frozenset(rates), now_s)
            bursting = True
        if bursting and not (pace.room and pace.left_s(now_s)):
            bursting = False
            if pace.pause_s(now_s):
                continue
            pace.begin(frozenset(rates), now_s)
            bursting = True
        if bursting:
            pace.read(size)
            read[name] += 1
            kept[name] += pace.is_first(name)
    return Tapped(read, kept)


def test_one_source_is_read_as_often_as_it_is_shown_and_no_more() -> None:
    seen = tapped(Pace(4.0), {"cam": 30.0}, seconds=10)
    assert 35 <= seen.kept["cam"] <= 40
    assert seen.read == seen.kept


def test_twenty_sources_all_get_their_turn_for_few_frames_read() -> None:
    rates = {f"cam{number}": 30.0 for number in range(20)}
    seen = tapped(Pace(4.0), rates, seconds=10)
    assert all(30 <= seen.kept[name] <= 40 for name in rates)
    assert seen.read.total() <= 1.25 * seen.kept.total()


def test_a_slow_source_is_shown_beside_fast_ones_without_reading_them_all() -> None:
    rates = {"slow": 1.0} | {f"cam{number}": 30.0 for number in range(9)}
    seen = tapped(Pace(4.0), rates, seconds=60)
    assert seen.kept["slow"] >= 5
    assert seen.read.total() <= 4 * 60 * 2 * len(rates)


def test_a_source_that_sends_nothing_does_not_make_us_read_everything() -> None:
    rates = {f"cam{number}": 30.0 for number in range(10)}
    pace = Pace(4.0)
    pace.begin(frozenset(rates) | {"quiet"}, 0.0)
    for number in count():
        if not pace.room:
            break
        pace.read(1)
        pace.is_first(f"cam{number % 10}")
    assert number == 2 * 11


@pytest.mark.parametrize("size", [200_000, 1_000_000, 4_000_000])
def test_large_pictures_come_less_often(size: int) -> None:
    rates = {f"cam{number}": 30.0 for number in range(20)}
    seen = tapped(Pace(4.0, bytes_per_s=8_000_000), rates, seconds=120, size=size)
    bytes_per_s = seen.read.total() * size / 120
    assert 4_000_000 <= bytes_per_s <= 10_000_000
    assert min(seen.kept[name] for name in rates) >= 1


@pytest.mark.parametrize(("fps", "bytes_per_s"), [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0)])
def test_a_pace_that_can_never_begin_is_refused(fps: float, bytes_per_s: float) -> None:
    with pytest.raises(ValueError, match="expected positive numbers, got"):
        Pace(fps, bytes_per_s)
