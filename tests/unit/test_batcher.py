"""Size or deadline, whichever comes first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.batcher import Batcher


def test_empty_batcher_waits_for_its_first_item() -> None:
    batcher: Batcher[int] = Batcher(4, 0.02)
    assert batcher.wait_s(100.0) is None
    assert batcher.take() == []


def test_the_deadline_counts_from_the_first_item() -> None:
    batcher: Batcher[int] = Batcher(4, 0.02)
    batcher.add([1], 100.0)
    batcher.add([2], 100.015)
    assert batcher.wait_s(100.015) == pytest.approx(0.005)
    assert batcher.wait_s(100.02) == 0.0
    assert batcher.wait_s(200.0) == 0.0
    assert batcher.take() == [1, 2]
    batcher.add([3], 200.0)
    assert batcher.wait_s(200.0) == pytest.approx(0.02)


def test_a_full_batch_waits_for_nothing() -> None:
    batcher: Batcher[int] = Batcher(2, 10.0)
    batcher.add([1, 2], 0.0)
    assert batcher.room == 0
    assert batcher.wait_s(0.0) == 0.0


def test_more_than_fits_is_refused() -> None:
    batcher: Batcher[int] = Batcher(2, 10.0)
    with pytest.raises(ValueError, match="expected at most 2 items, got 3"):
        batcher.add([1, 2, 3], 0.0)


@given(
    st.integers(1, 8),
    st.floats(0, 1),
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(0, 5)), max_size=40),
)
def test_nothing_is_lost_reordered_or_late(
    size: int, max_wait_s: float, arrivals: list[tuple[float, int]]
) -> None:
    batcher: Batcher[int] = Batcher(size, max_wait_s)
    now_s, sent, got = 0.0, 0, []
    for gap_s, count in arrivals:
        now_s += gap_s
        wait_s = batcher.wait_s(now_s)
        assert wait_s is None or 0.0 <= wait_s <= max_wait_s + 1e-9  # rounding
        if wait_s == 0.0:
            got += batcher.take()
        count = min(count, batcher.room)
        batcher.add(range(sent, sent + count), now_s)
        sent += count
    got += batcher.take()
    assert got == list(range(sent))
