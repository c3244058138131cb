"""Plays a recorded session at the pace it came, or faster."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Literal

from consumer.session.reader import SessionReader
from consumer.session.shift import captured_at_ns, shifted
from contract.errors import SessionError
from contract.event import Record

Speed = float | Literal["max"]

_AHEAD = 64  # records, a few hundred KiB at most of common ones
_SPARE_S = 0.003  # before a record is due, nothing is read any more


class Player:
    """Hands out the records of a session when they are due.

    Each is due at an absolute time of `clock`, counted from the first call: a late one delays no
    other, and nothing drifts. One thread plays; any thread or signal handler may set `stop`.

    speed      2 = twice as fast; "max" = without waiting. Times in the records stay as recorded, so
               filters that go by them do the same at every speed
    from_s     where in the recording to begin
    loop       play it again and again. Each run after the first one is later by as much as the
               recording lasted (or as its capture times span, if that is more), with sessions of
               its own: `shifted`
    shift_ns   moves the wall-clock times of all records, for example to now
    sources    only these; None = all
    stop       ends it; so does the end of the session, unless it loops
    clock      monotonic seconds; `stop.wait` must wait by the same clock

    at_s       how far it has played: seconds of the recording up to the record that was handed out
               last, runs before included
    is_over    whether there will be no more records

    Raises `SessionError` from the reader.
    """

    def __init__(
        self,
        session: SessionReader,
        *,
        stop: threading.Event,
        speed: Speed = 1.0,
        from_s: float = 0.0,
        loop: bool = False,
        shift_ns: int = 0,
        sources: Collection[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._stop = stop
        self._speed = speed
        self._from_s = from_s
        self._loop = loop
        self._shift_ns = shift_ns
        self._sources = sources
        self._clock = clock
        self._runs = self._all_runs()
        self._ahead: deque[tuple[float, Record]] = deque()
        self._runs_end = False
        self._failure: SessionError | None = None
        self._began_s: float | None = None
        self.at_s = from_s

    @property
    def is_over(self) -> bool:
        return self._stop.is_set() or (self._runs_end and not self._ahead and self._failure is None)

    @property
    def fetched_at_s(self) -> float:
        """Now: a record is handed out when it is due."""
        return self._clock()

    @property
    def is_away(self) -> bool:
        """A file is always there."""
        return False

    def next_record(self, timeout_s: float | None = None) -> Record | None:
        """The next record, as soon as it is due; None when it is over, or when none was due within
        `timeout_s`. As `EventReader.next_record`.
        """
        if self._began_s is None:
            self._began_s = self._clock()
        until_s = None if timeout_s is None else self._clock() + timeout_s
        if not self._ahead:
            self._read_one()
        if not self._ahead:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            return None
        at_s, record = self._ahead[0]
        if self._speed != "max" and not self._is_due(self._due_s(at_s), until_s):
            return None
        if self._stop.is_set():
            return None
        self._ahead.popleft()
        self.at_s = at_s
        return record

    def _read_one(self) -> None:
        """What is wrong with the file is told when its place has come."""
        if self._runs_end:
            return
        try:
            self._ahead.append(next(self._runs))
        except StopIteration:
            self._runs_end = True
        except SessionError as error:
            self._runs_end, self._failure = True, error

    def _due_s(self, at_s: float) -> float:
        assert self._began_s is not None
        assert self._speed != "max"
        return self._began_s + (at_s - self._from_s) / self._speed

    def _is_due(self, due_s: float, until_s: float | None) -> bool:
        """Waits until `due_s`; false if `stop` or `until_s` comes first."""
        wake_s = due_s if until_s is None else min(due_s, until_s)
        # Reading takes its time when there is some, not when a burst of records is due.
        while (
            len(self._ahead) < _AHEAD
            and not self._runs_end
            and not self._stop.is_set()
            and wake_s - self._clock() > _SPARE_S
        ):
            self._read_one()
        while not self._stop.is_set() and (left_s := wake_s - self._clock()) > 0:
            # At most a day: a longer wait than the platform takes is an error there.
            self._stop.wait(min(left_s, 86_400.0))
        return not self._stop.is_set() and wake_s == due_s

    def _all_runs(self) -> Iterator[tuple[float, Record]]:
        run = 1
        before_s = 0.0  # the runs before this one
        shift_ns = self._shift_ns
        while True:
            first_ns = last_ns = None
            for at_s, record in self._session.records(self._from_s):
                time_ns = captured_at_ns(record)
                first_ns = time_ns if first_ns is None else min(first_ns, time_ns)
                last_ns = time_ns if last_ns is None else max(last_ns, time_ns)
                moved = record if run == 1 and not shift_ns else shifted(record, shift_ns, run)
                if self._sources is None or record.source in self._sources:
                    yield before_s + at_s, moved
            if not self._loop or first_ns is None or last_ns is None:
                return
            run_s = self._session.duration_s - self._from_s
            before_s += run_s
            # A recording made in one go (--from beginning) holds more time than it lasted.
            shift_ns += max(round(run_s * 1e9), last_ns - first_ns + 1)
            run += 1


def replay(
    session: SessionReader,
    *,
    stop: threading.Event,
    speed: Speed = 1.0,
    from_s: float = 0.0,
    loop: bool = False,
    shift_ns: int = 0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Record]:
    """The records of `Player`, each when it is due, until the end or `stop`."""
    player = Player(
        session, stop=stop, speed=speed, from_s=from_s, loop=loop, shift_ns=shift_ns, clock=clock
    )
    while (record := player.next_record()) is not None:
        yield record
