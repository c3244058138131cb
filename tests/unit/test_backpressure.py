"""How long a lossless source waits for room, in its own time."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

import pytest

from contract.errors import WorkersMissing
from producer.backpressure import BackpressureWaiter, Fill
from producer.heartbeat import Heartbeat

LIMIT_S = 100.0


class Waiting:
    """A waiter that looks once every 40 s and sees one of `fills` after the other."""

    def __init__(self, fills: Iterable[Fill | None]) -> None:
        self.stop = threading.Event()
        self.waits_s: list[float] = []
        self._fills: Iterator[Fill | None] = iter(fills)
        self._now_s = 1_000.0
        self.waiter = BackpressureWaiter(
            "cam",
            Heartbeat(self.stop),
            look=self._look,
            max_backlog=8,
            limit_s=LIMIT_S,
            observe=self.waits_s.append,
            clock=lambda: self._now_s,
        )

    def _look(self) -> Fill | None:
        self._now_s += 40.0
        return next(self._fills)


def test_nothing_that_moves_for_too_long_is_an_error_that_names_source_and_flag() -> None:
    waiting = Waiting([Fill(8, 50)] * 9)
    with pytest.raises(WorkersMissing, match=r"cam: .*no worker took .* 120 s \(--full-timeout\)"):
        waiting.waiter.wait()
    assert waiting.waits_s == [120.0]


def test_a_stream_that_moves_is_waited_for_however_long() -> None:
    # Now the backlog goes down and comes up, now another producer takes the room at once.
    moving = [Fill(9 + n % 2, 50 + n // 4) for n in range(40)]
    waiting = Waiting([*moving, Fill(7, 60)])
    assert waiting.waiter.wait()
    assert waiting.waits_s == [41 * 40.0]


def test_each_wait_has_the_whole_time() -> None:
    waiting = Waiting([Fill(8, 50), Fill(8, 50), Fill(7, 50)] * 3)
    assert [waiting.waiter.wait() for _ in range(3)] == [True] * 3


def test_a_stop_ends_it() -> None:
    assert not Waiting([Fill(8, 50), None]).waiter.wait()
    stopped = Waiting([])
    stopped.stop.set()
    assert not stopped.waiter.wait()
