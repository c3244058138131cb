"""A write that hangs is noticed, in its own time."""

from __future__ import annotations

import threading

import pytest
from structlog.testing import capture_logs

from consumer.output import REPORT_S, STOP_GRACE_S, OutputWatch


class Watched:
    """An `OutputWatch` with a clock of the test's, and how often it ended the process."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.stop = threading.Event()
        self.ends = 0
        self.watch = OutputWatch(self.stop, on_stuck=self._end, clock=lambda: self.now_s)

    def _end(self) -> None:
        self.ends += 1

    def look_after(self, seconds: float) -> None:
        self.now_s += seconds
        self.watch.look()


def test_a_write_that_hangs_is_one_line_and_each_that_hangs_again_another() -> None:
    watched = Watched()
    with capture_logs() as lines:
        for _ in range(2):
            with watched.watch.writing():
                for _ in range(10):
                    watched.look_after(REPORT_S / 2)
            watched.look_after(1.0)
    assert [line["event"] for line in lines] == ["nobody takes what is written"] * 2
    assert watched.ends == 0


@pytest.mark.parametrize("stop_first", [True, False])
def test_asked_to_stop_in_a_write_that_hangs_the_process_ends(stop_first: bool) -> None:
    watched = Watched()
    if stop_first:
        watched.stop.set()
        watched.look_after(1.0)
    with watched.watch.writing():
        watched.look_after(STOP_GRACE_S)
        if not stop_first:
            assert watched.ends == 0
            watched.stop.set()
            watched.look_after(0.1)
            assert watched.ends == 0
            watched.look_after(STOP_GRACE_S)
        assert watched.ends == 1


def test_a_process_that_writes_and_stops_by_itself_is_left_alone() -> None:
    watched = Watched()
    watched.stop.set()
    for _ in range(20):
        with watched.watch.writing():
            watched.look_after(STOP_GRACE_S / 2)
        watched.look_after(STOP_GRACE_S)
    assert watched.ends == 0
