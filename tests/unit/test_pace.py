"""Sampling, pacing and back-off: pure, so time is only a number here."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.backoff import Backoff
from producer.pace import MAX_GAP_S, Pacer, Sampler

MS = 1_000_000


def kept(fps: float | None, times_ms: list[int]) -> list[int]:
    sampler = Sampler(fps)
    return [time_ms for time_ms in times_ms if sampler.keep(time_ms * MS)]


def test_without_fps_every_frame_is_kept() -> None:
    assert kept(None, [0, 0, 5, 3]) == [0, 0, 5, 3]


def test_half_the_rate_keeps_every_second_frame_in_spite_of_rounded_times() -> None:
    times_ms = [round(33 + n * 1000 / 30) for n in range(300)]  # as Matroska stores 30 per second
    assert kept(15, times_ms) == times_ms[::2]


@pytest.mark.parametrize("fps", [30, 60, 1000])
def test_a_slower_source_keeps_all_its_frames(fps: float) -> None:
    times_ms = [round(n * 1000 / 30) for n in range(300)]
    assert kept(fps, times_ms) == times_ms


def test_a_variable_rate_is_thinned_only_where_it_is_too_fast() -> None:
    assert kept(10, [0, 10, 20, 150, 160, 1000, 1010, 1101]) == [0, 150, 1000, 1101]


def test_a_source_whose_times_start_over_goes_on() -> None:
    assert kept(10, [5000, 5050, 5100, 0, 50, 100]) == [5000, 5100, 0, 100]


@given(
    fps=st.floats(0.5, 120),
    steps_ms=st.lists(st.integers(1, 400), min_size=1, max_size=200),
)
def test_sampling_never_exceeds_the_rate_and_leaves_no_hole(
    fps: float, steps_ms: list[int]
) -> None:
    times_ms, now_ms = [], 0
    for step_ms in steps_ms:
        times_ms.append(now_ms)
        now_ms += step_ms
    chosen = kept(fps, times_ms)
    length_s = times_ms[-1] / 1000
    assert len(chosen) == len(set(chosen))
    assert chosen[0] == times_ms[0]
    assert len(chosen) <= length_s * fps + 2
    # Where nothing was chosen for longer than a grid step and a source step, nothing came.
    longest_ms = 1000 / fps + max(steps_ms)
    for before, after in pairwise(chosen):
        assert after - before <= longest_ms + 1000 / fps * 0.2 + 1


def test_frames_are_due_at_their_media_times() -> None:
    pacer = Pacer()
    assert pacer.delay_s(500 * MS, now_s=100.0) == 0
    assert pacer.delay_s(540 * MS, now_s=100.01) == pytest.approx(0.03)
    assert pacer.delay_s(900 * MS, now_s=100.04) == pytest.approx(0.36)


def test_a_little_late_catches_up_but_much_too_late_does_not_burst() -> None:
    pacer = Pacer()
    pacer.delay_s(0, now_s=0.0)
    assert pacer.delay_s(100 * MS, now_s=0.6) == 0  # half a second late: go on at once
    assert pacer.delay_s(700 * MS, now_s=0.6) == pytest.approx(0.1)  # and be in time again
    assert pacer.delay_s(800 * MS, now_s=10.0) == 0  # nine seconds late: a new start
    assert pacer.delay_s(900 * MS, now_s=10.0) == pytest.approx(0.1)


def test_time_stamps_that_go_back_or_leap_do_not_stall_playing() -> None:
    pacer = Pacer()
    pacer.delay_s(1_000_000 * MS, now_s=0.0)
    assert pacer.delay_s(0, now_s=0.1) == 0
    assert pacer.delay_s(40 * MS, now_s=0.1) == pytest.approx(0.04)
    leap_ns = round((MAX_GAP_S + 1) * 1e9)
    assert pacer.delay_s(40 * MS + leap_ns, now_s=0.2) == 0
    assert pacer.delay_s(80 * MS + leap_ns, now_s=0.2) == pytest.approx(0.04)


def test_frames_without_media_time_are_due_at_once() -> None:
    assert Pacer().delay_s(None, now_s=5.0) == 0


def test_back_off_doubles_up_to_its_cap_and_starts_over() -> None:
    backoff = Backoff(base_s=0.25, cap_s=1.0, dice=random.Random(1))
    for full_s in (0.25, 0.5, 1.0, 1.0, 1.0):
        assert full_s / 2 <= backoff.next_s() <= full_s
    backoff.reset()
    assert backoff.next_s() <= 0.25


def test_back_off_survives_a_camera_that_is_off_for_ever() -> None:
    backoff = Backoff(base_s=0.25, cap_s=10.0)
    assert all(backoff.next_s() <= 10.0 for _ in range(5000))
