"""The events of this run, read and played in a thread of its own: the view never waits for Redis,
and no instrument for the view."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Collection
from types import TracebackType

from consumer.play import Play
from consumer.progress import EntryId, format_id, parse_id
from consumer.reader import EventReader
from consumer.turns import turns
from contract.event import Record
from contract.smoothed import Signal

CLOSE_TIMEOUT_S = 1.0
LONGEST_WAIT_S = 0.5


class Feed:
    """Reads the records of `sources` that follow the entry `start`, and gives them to `play`, which
    is open; a context manager.

    Other producers on the same server write to the same stream: their sources are passed over.
    """

    def __init__(
        self, url: str, prefix: str, start: EntryId, sources: Collection[str], play: Play
    ) -> None:
        self._stop = threading.Event()
        self._reader = EventReader(
            url,
            start=format_id(start),
            prefix=prefix,
            sources=sources,
            on_missed=lambda _: None,  # the summary tells, once
            stop=self._stop,
        )
        self._play = play
        self._records: deque[Record] = deque()
        self._signals: deque[Signal] = deque()
        self._start = start
        self._failure: BaseException | None = None
        self._has_failed = threading.Event()
        self._thread = threading.Thread(target=self._read, name="events", daemon=True)

    @property
    def missed(self) -> int:
        """Events that were trimmed from the stream before they were read here."""
        return self._reader.missed

    def __enter__(self) -> Feed:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(CLOSE_TIMEOUT_S)
        if kind is None and self._failure is not None:  # of what was played last
            raise self._failure

    def take(self, timeout_s: float) -> list[Record]:
        """What came since the last call, and within `timeout_s` from now.

        Not what comes first: the caller does the same work for one record as for a hundred. Raises
        what the reading thread died of.
        """
        self._has_failed.wait(timeout_s)
        records = [self._records.popleft() for _ in range(len(self._records))]
        if not records and self._failure is not None:
            raise self._failure
        return records

    def take_signals(self) -> list[Signal]:
        """What `play` made of them since the last call."""
        return [self._signals.popleft() for _ in range(len(self._signals))]

    def has_read(self, entry: EntryId) -> bool:
        """Whether everything up to `entry` was read; the next `take` returns the rest of it."""
        # Not the last one handed out: behind that there can be some that the reader skips.
        done = self._reader.done_id
        return (self._start if done is None else parse_id(done.encode())) >= entry

    def _read(self) -> None:
        try:
            with self._reader as reader:
                for turn in turns(reader, self._play, LONGEST_WAIT_S):
                    if turn.record is not None:
                        self._records.append(turn.record)
                    self._signals.extend(turn.signals)
        except BaseException as error:  # `take` raises it: nothing dies in silence here
            self._failure = error
            self._has_failed.set()
