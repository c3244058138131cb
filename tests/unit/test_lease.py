"""Leases are renewed while there is progress, and only then."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from worker.lease import LeaseKeeper


class CountedLeases:
    """So many frames in hand; `fail` raises in the given renewals."""

    def __init__(self, in_hand: int = 3, fail: dict[int, Exception] | None = None) -> None:
        self.in_hand = in_hand
        self.renewed = 0
        self._fail = fail or {}

    def renew(self) -> int:
        self.renewed += 1
        if self.renewed in self._fail:
            raise self._fail[self.renewed]
        return 0  # as if another worker had claimed them all


def test_renews_until_the_block_ends(wait_until: Callable[..., None]) -> None:
    leases = CountedLeases()
    with LeaseKeeper(leases, every_s=0.01):
        wait_until(lambda: leases.renewed >= 3, what="three renewals")
    assert not any(thread.name == "leases" for thread in threading.enumerate())


def test_a_hanging_device_does_not_renew_for_ever() -> None:
    hung = threading.Event()
    now_s = [0.0]
    keeper = LeaseKeeper(
        CountedLeases(), every_s=0.01, longest_s=60.0, on_hang=hung.set, clock=lambda: now_s[0]
    )
    with keeper:
        now_s[0] = 59.0
        assert not hung.wait(0.05)
        keeper.progress()
        now_s[0] = 118.0
        assert not hung.wait(0.05)
        now_s[0] = 120.0
        assert hung.wait(10)


def test_an_idle_worker_never_hangs() -> None:
    hung = threading.Event()
    with LeaseKeeper(CountedLeases(0), every_s=0.01, longest_s=-1.0, on_hang=hung.set):
        assert not hung.wait(0.05)


def test_a_bug_in_the_thread_reaches_the_loop(wait_until: Callable[..., None]) -> None:
    with LeaseKeeper(CountedLeases(fail={1: ZeroDivisionError()}), every_s=0.01) as keeper:
        wait_until(lambda: not any(t.name == "leases" for t in threading.enumerate()))
        with pytest.raises(ZeroDivisionError):
            keeper.progress()
