"""A few lines of each kind are printed; the rest is counted exactly."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from contract.process.rationed import Rationed


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_so_many_in_each_period_and_the_rest_is_told_when_it_is_over() -> None:
    clock = Clock()
    lines = Rationed(most=2, period_s=10.0, clock=clock)
    assert [lines.admits("a") for _ in range(5)] == [True, True, False, False, False]
    assert lines.admits("b")
    clock.now_s = 9.9
    assert lines.left_out() == {}
    clock.now_s = 10.0
    assert lines.left_out() == {"a": 3}
    assert lines.left_out() == {}
    assert lines.admits("a")  # a new period


def test_at_the_end_nothing_is_forgotten() -> None:
    lines = Rationed(most=1, period_s=10.0, clock=Clock())
    for kind in "aab":
        lines.admits(kind)
    assert lines.left_out(at_end=True) == {"a": 1}
    assert lines.left_out(at_end=True) == {}


def test_kinds_without_end_cost_no_memory_and_no_flood() -> None:
    lines = Rationed(most=1, kinds=3, clock=Clock())
    printed = [lines.admits(str(n)) for n in range(1000)]
    assert sum(printed) == 4  # three kinds, and one line for all others
    assert lines.left_out(at_end=True) == {"others": 996}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 8)), max_size=60))
def test_every_line_is_printed_or_counted(calls: list[tuple[str, float]]) -> None:
    clock = Clock()
    lines = Rationed(most=2, period_s=10.0, clock=clock)
    seen: Counter[str] = Counter()
    for kind, pause_s in calls:
        clock.now_s += pause_s
        seen[kind] += lines.admits(kind)
        seen.update(lines.left_out())
    seen.update(lines.left_out(at_end=True))
    assert +seen == Counter(kind for kind, _ in calls)
