"""What every destination of signals can do."""

from __future__ import annotations

from typing import Protocol, TypeVar

T_contra = TypeVar("T_contra", contravariant=True)


class Sink(Protocol[T_contra]):
    """One destination of signals or of records. `FanOut` gives each a thread of its own, and calls
    it from there alone.

    name   what log lines and counters call it, for example ``osc 127.0.0.1:9000``
    """

    name: str

    def write(self, item: T_contra, now_s: float, /) -> None:
        """Take what came at monotonic `now_s`. Raises `OSError` or `SinkFailed` when it
        could not be delivered: it is counted as lost, and the next one is tried."""

    def due_s(self) -> float | None:
        """When `tick` wants to be called, monotonic; None if nothing waits for the clock."""

    def tick(self, now_s: float, /) -> None:
        """Do what was due by monotonic `now_s`; raises as `write` does."""

    def close(self) -> None:
        """Finish what is open; called once, after the last signal."""


class Unhurried:
    """What a sink has that waits for no clock."""

    def due_s(self) -> float | None:
        return None

    def tick(self, now_s: float, /) -> None:
        pass
