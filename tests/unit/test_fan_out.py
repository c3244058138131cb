"""A slow, a broken and a hanging sink are nobody else's trouble."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from consumer.sinks.fan_out import FanOut
from consumer.sinks.sink import Unhurried
from contract.errors import SinkFailed

WaitUntil = Callable[..., None]


class Kept(Unhurried):
    def __init__(self, name: str = "kept") -> None:
        self.name = name
        self.items: list[int] = []
        self.came_s: list[float] = []
        self.is_closed = False

    def write(self, item: int, now_s: float) -> None:
        self.items.append(item)
        self.came_s.append(now_s)

    def close(self) -> None:
        self.is_closed = True


class Held(Kept):
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__("held")
        self.go = threading.Event()

    def write(self, item: int, now_s: float) -> None:
        self.go.wait(30)
        super().write(item, now_s)


class Broken(Kept):
    def __init__(self, error: Exception) -> None:
        super().__init__("broken")
        self.error = error

    def write(self, item: int, now_s: float) -> None:
        if item % 2:
            raise self.error
        super().write(item, now_s)


class Ticking(Kept):
    """Wants the clock every 10 ms."""

    def __init__(self) -> None:
        super().__init__("ticking")
        self.ticks: list[float] = []
        self.next_s: float | None = time.monotonic()

    def due_s(self) -> float | None:
        return self.next_s

    def tick(self, now_s: float) -> None:
        self.ticks.append(now_s)
        self.next_s = None if len(self.ticks) == 5 else now_s + 0.01


def test_everybody_gets_everything_in_order_and_is_closed() -> None:
    one, two = Kept("one"), Kept("two")
    with FanOut([one, two]) as out:
        for number in range(1000):
            out.put([number], float(number))
    assert one.items == two.items == list(range(1000))
    assert one.came_s == [float(number) for number in range(1000)]
    assert one.is_closed
    assert out.lost == {"one": 0, "two": 0}


def test_a_slow_sink_loses_its_oldest_and_holds_nobody_up(wait_until: WaitUntil) -> None:
    slow, quick = Held(), Kept()
    out = FanOut([slow, quick], queue=10)
    with out:
        out.put([0], 0.0)
        wait_until(lambda: out._lines[0]._waiting == type(out._lines[0]._waiting)())
        for number in range(1, 101):
            out.put([number], 0.0)
            wait_until(lambda n=number: n in quick.items)
        assert out.lost == {"held": 90, "kept": 0}
        slow.go.set()
    assert slow.items == [0, *range(91, 101)]


def test_one_that_hangs_is_left_behind_and_what_it_holds_is_counted() -> None:
    stuck, quick = Held(), Kept()
    began_s = time.monotonic()
    out = FanOut([stuck, quick], close_s=0.2)
    with out:
        out.put([1, 2, 3], 0.0)
    assert time.monotonic() - began_s < 5
    assert quick.items == [1, 2, 3]
    assert quick.is_closed
    assert out.lost["held"] >= 2
    stuck.go.set()


@pytest.mark.parametrize("error", [OSError("disk full"), SinkFailed("nobody there")])
def test_what_is_not_taken_is_counted_and_told_once(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    broken, quick = Broken(error), Kept()
    with FanOut([broken, quick]) as out:
        out.put(range(10), 0.0)
    assert broken.items == [0, 2, 4, 6, 8]
    assert quick.items == list(range(10))
    assert out.lost == {"broken": 5, "kept": 0}
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"broken: 1 lost: {error}", f"broken: 4 lost: {error}"]


def test_a_bug_in_a_sink_is_no_loss_but_an_error(wait_until: WaitUntil) -> None:
    with pytest.raises(ZeroDivisionError), FanOut([Broken(ZeroDivisionError())]) as out:
        out.put([1], 0.0)
        wait_until(lambda: out._lines[0]._failure is not None)
        out.put([2], 0.0)


def test_a_sink_may_ask_for_the_clock(wait_until: WaitUntil) -> None:
    ticking = Ticking()
    with FanOut([ticking]) as out:
        wait_until(lambda: len(ticking.ticks) == 5)
        out.put([7], 0.0)
    assert ticking.items == [7]
    gaps = [b - a for a, b in zip(ticking.ticks, ticking.ticks[1:], strict=False)]
    assert min(gaps) >= 0.01


def test_a_queue_that_is_full_does_not_hold_up_the_clock() -> None:
    ticking = Ticking()
    items_at_tick: list[int] = []
    tick = ticking.tick

    def watched(now_s: float) -> None:
        items_at_tick.append(len(ticking.items))
        tick(now_s)

    ticking.tick = watched  # type: ignore[method-assign]
    out = FanOut([ticking])
    out.put(range(10_000), 0.0)
    with out:
        pass
    assert len(ticking.items) == 10_000
    assert items_at_tick[0] == 0
