"""Leases are renewed while there is progress, and only then."""

from __future__ import annotations

import threading
from collections.abc import Callable

import redis

from worker.lease import LeaseKeeper


def test_renews_until_the_block_ends(wait_until: Callable[..., None]) -> None:
    renewed: list[int] = []
    with LeaseKeeper(lambda: renewed.append(1) or 1, every_s=0.01):
        wait_until(lambda: len(renewed) >= 3, what="three renewals")
    count = len(renewed)
    assert not any(thread.name == "leases" for thread in threading.enumerate())
    assert len(renewed) == count


def test_a_hanging_device_does_not_renew_for_ever(wait_until: Callable[..., None]) -> None:
    hung = threading.Event()
    now_s = [0.0]
    keeper = LeaseKeeper(
        lambda: 3, every_s=0.01, longest_s=60.0, on_hang=hung.set, clock=lambda: now_s[0]
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
    with LeaseKeeper(lambda: 0, every_s=0.01, longest_s=-1.0, on_hang=hung.set):
        assert not hung.wait(0.05)


def test_an_unreachable_server_does_not_end_the_thread(wait_until: Callable[..., None]) -> None:
    calls: list[int] = []

    def renew() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise redis.ConnectionError("gone")
        return 1

    with LeaseKeeper(renew, every_s=0.01):
        wait_until(lambda: len(calls) > 4, what="renewals after two failures")
