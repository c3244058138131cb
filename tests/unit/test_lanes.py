"""Batches on several threads come back in the order they were started."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.lanes import Lanes, shares


class Gates:
    """Work that ends when it is told to: `open(item)` lets the batch with that item go."""

    def __init__(self, items: Sequence[int]) -> None:
        self._gates = {item: threading.Event() for item in items}
        self.began: list[int] = []

    def open(self, item: int) -> None:
        self._gates[item].set()

    def work(self, batch: Sequence[int]) -> list[int]:
        self.began.append(batch[0])
        assert self._gates[batch[0]].wait(20)
        if batch[0] < 0:
            raise RuntimeError("no")
        return [10 * item for item in batch]


def test_a_batch_that_is_done_early_waits_for_those_before_it(
    wait_until: Callable[..., None],
) -> None:
    gates = Gates([1, 2])
    with Lanes(2, gates.work) as lanes:
        lanes.start([1])
        lanes.start([2, 3])
        wait_until(lambda: len(gates.began) == 2)  # both at the same time
        assert lanes.free == 0
        gates.open(2)
        lanes.wait(20)
        assert lanes.free == 1
        assert lanes.finished() == []
        assert not lanes.is_idle
        gates.open(1)
        lanes.wait(20)
        done = lanes.finished()
    assert [batch.items for batch in done] == [[1], [2, 3]]
    assert [batch.results.result() for batch in done] == [[10], [20, 30]]
    assert lanes.is_idle


def test_what_is_done_does_not_pile_up_behind_a_batch_that_hangs(
    wait_until: Callable[..., None],
) -> None:
    gates = Gates([1, 2, 3, 4])
    with Lanes(2, gates.work) as lanes:
        lanes.start([1])
        for item, free in ((2, 1), (3, 1), (4, 0)):
            lanes.start([item])
            assert lanes.free == 0
            gates.open(item)
            wait_until(lambda item=item: len(gates.began) == item)
            lanes.wait(20)
            assert lanes.free == free
        gates.open(1)
        lanes.wait(20)
        assert lanes.free == 2
        assert [batch.items for batch in lanes.finished()] == [[1], [2], [3], [4]]


def test_an_exception_comes_back_with_its_batch() -> None:
    gates = Gates([-1])
    gates.open(-1)
    with Lanes(1, gates.work) as lanes:
        lanes.start([-1])
        lanes.wait(20)
        (batch,) = lanes.finished()
        with pytest.raises(RuntimeError, match="no"):
            batch.results.result()
        assert lanes.free == 1


def test_the_end_waits_for_what_is_under_way() -> None:
    gates = Gates([1])
    with Lanes(1, gates.work) as lanes:
        lanes.start([1])
        threading.Timer(0.05, gates.open, [1]).start()
    assert lanes.finished()[0].results.result() == [10]


def test_a_lane_is_expected() -> None:
    with pytest.raises(ValueError, match="at least one lane, got 0"):
        Lanes(0, list)


@given(st.lists(st.integers(), max_size=50), st.integers(1, 8))
def test_shares_are_even_and_lose_nothing(items: list[int], most: int) -> None:
    parts = shares(items, most)
    assert [item for part in parts for item in part] == items
    assert len(parts) == min(most, len(items))
    sizes = [len(part) for part in parts]
    assert not sizes or max(sizes) - min(sizes) <= 1
