"""Writing to somebody who may not read: a pipe that is full, a terminal that is held."""

from __future__ import annotations

import contextvars
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from contract.errors import EmotionStreamError

_log = structlog.get_logger()

REPORT_S = 30.0
STOP_GRACE_S = 2.0
_LOOK_S = 0.5
_LAST_WORDS_S = 1.0


def _end_process() -> None:
    # Nothing is lost: the event in hand is not acknowledged, so it comes again, here or to another
    # member of the group. The timer, because standard error may be the same pipe.
    last = threading.Timer(_LAST_WORDS_S, os._exit, (EmotionStreamError.exit_code,))
    last.daemon = True
    last.start()
    print("emotion-events: stopped while nobody took what it writes", file=sys.stderr, flush=True)
    os._exit(EmotionStreamError.exit_code)


class OutputWatch:
    """Notices a write that hangs: says so, and ends the process if it was asked to stop.

    A signal does not end a write: Python takes it up again, for as long as nobody reads. So this
    looks from a thread of its own. Times are monotonic seconds.
    """

    def __init__(
        self,
        stop: threading.Event,
        *,
        on_stuck: Callable[[], None] = _end_process,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stop = stop
        self._on_stuck = on_stuck
        self._clock = clock
        self._since_s: float | None = None
        self._stopping_since_s: float | None = None
        self._said_so = False

    def start(self) -> None:
        """Look every half second, to the end of the process."""
        threading.Thread(target=self._run, name="output", daemon=True).start()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """The block writes one record."""
        self._since_s = self._clock()
        try:
            yield
        finally:
            self._since_s = None

    def look(self) -> None:
        """Is a write hanging?"""
        now_s, since_s = self._clock(), self._since_s
        if self._stop.is_set() and self._stopping_since_s is None:
            self._stopping_since_s = now_s
        if since_s is None:
            self._said_so = False
        elif self._stopping_since_s is not None:
            if now_s - max(since_s, self._stopping_since_s) >= STOP_GRACE_S:
                self._on_stuck()
        elif now_s - since_s >= REPORT_S and not self._said_so:
            self._said_so = True
            self._say(now_s - since_s)

    def _say(self, waited_s: float) -> None:
        # In a thread of its own: standard error may be the same pipe.
        threading.Thread(
            target=contextvars.copy_context().run,
            args=(lambda: _log.warning("nobody takes what is written", waited_s=round(waited_s)),),
            name="output warning",
            daemon=True,
        ).start()

    def _run(self) -> None:
        while True:
            time.sleep(_LOOK_S)
            self.look()
