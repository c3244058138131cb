"""Keeps a worker's frames its own while the device works on them, but not for ever."""

from __future__ import annotations

import contextvars
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

import structlog

_log = structlog.get_logger()


HUNG_EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


class Leases(Protocol):
    """What there is to renew; `PartitionedQueue` is one."""

    @property
    def in_hand(self) -> int: ...
    def renew(self) -> int: ...


def _end_process() -> None:
    # The main thread hangs in a device call and cannot be asked; nothing in hand is lost, because
    # its leases run out and another worker claims it.
    os._exit(HUNG_EXIT_CODE)


class LeaseKeeper:
    """Renews every `every_s` seconds in a thread, as long as the loop makes progress.

    The loop calls `progress()` after every batch. Without progress for `longest_s` while frames are
    in hand, the device hangs: `on_hang` ends the process, or it would hold its frames for ever.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        every_s: float = 2.5,
        longest_s: float = 60.0,
        on_hang: Callable[[], None] = _end_process,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases = leases
        self._every_s = every_s
        self._longest_s = longest_s
        self._on_hang = on_hang
        self._clock = clock
        self._progress_s = clock()
        self._error: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=contextvars.copy_context().run,  # log lines say the same as the loop's
            args=(self._run,),
            name="leases",
            daemon=True,
        )

    def progress(self) -> None:
        """The loop came round; monotonic time starts again. Raises what ended the thread."""
        self._progress_s = self._clock()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> LeaseKeeper:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=self._every_s + 10.0)

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._every_s):
                self._turn()
        except Exception as error:  # the loop raises it: no thread dies in silence
            self._error = error

    def _turn(self) -> None:
        held_s = self._clock() - self._progress_s
        # By our own count: another worker may have claimed them all, and the device still hangs.
        if held_s > self._longest_s and self._leases.in_hand:
            _log.error("batch hangs", held_s=round(held_s, 1), frames=self._leases.in_hand)
            self._on_hang()
            self._ended.set()
            return
        self._leases.renew()
