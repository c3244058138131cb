"""A process is asked to stop by setting an event, and by nothing else."""

from __future__ import annotations

import signal
import threading
from types import FrameType


def stop_on_signals(event: threading.Event | None = None) -> threading.Event:
    """An event that SIGTERM and SIGINT set: `event` or a new one. Call it from the main thread.

    The handler does nothing more: the main loop sees the event, finishes what it holds and ends.
    A second SIGINT is Python's own KeyboardInterrupt, for a process that hangs.
    """
    stop = event or threading.Event()

    def handle(signum: int, _frame: FrameType | None) -> None:
        stop.set()
        if signum == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    return stop
