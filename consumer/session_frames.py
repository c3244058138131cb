"""The frames of one session (one run of a producer) in the order of their `seq`. No I/O."""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import NamedTuple

from contract.event import EmotionEvent, Record, SourceRecord


class Waited(NamedTuple):
    """A record on its way out, and the monotonic time at which it came."""

    came_s: float
    record: Record


class SessionFrames:
    """Holds what came before its turn. Places before `next_seq` were passed.

    first_seq   what the session began with: 0 if it was seen to start, None until that is decided
    missing     frames given up that have not come since
    """

    def __init__(self, came_s: float) -> None:
        self.came_s = came_s
        self.next_seq = 0
        self.first_seq: int | None = None
        self.missing = 0
        self.start: Waited | None = None
        self.end: Waited | None = None
        self.frames: int | None = None
        self.is_offline = False
        self._events: dict[int, Waited] = {}
        self._seqs: list[int] = []  # the same ones, as a heap
        self._arrivals: deque[int] = deque()  # the same ones as they came, and some that are out

    @property
    def waiting(self) -> int:
        """How many events wait."""
        return len(self._events)

    @property
    def is_untouched(self) -> bool:
        """Whether it was seen to start, and no event of it came yet."""
        return self.first_seq is not None and self.next_seq == 0 and not self._events

    @property
    def is_complete(self) -> bool:
        """Whether it ended, and all of its frames are out."""
        return self.frames is not None and self.next_seq >= self.frames and not self._events

    @property
    def lowest(self) -> int | None:
        """Of the events that wait, the one whose turn is next."""
        return self._seqs[0] if self._seqs else None

    @property
    def oldest(self) -> tuple[float, int] | None:
        """Of the events that wait, the one that came first: (came_s, seq)."""
        while self._arrivals and self._arrivals[0] not in self._events:
            self._arrivals.popleft()
        if not self._arrivals:
            return None
        seq = self._arrivals[0]
        return self._events[seq].came_s, seq

    def hold(self, record: Record, now_s: float) -> bool:
        """Keep it until its turn; False if that has passed, or it is here already."""
        if isinstance(record, SourceRecord):
            return self._hold_source_record(record, now_s)
        if record.seq < self.next_seq or record.seq in self._events:
            return False
        self._events[record.seq] = Waited(now_s, record)
        heappush(self._seqs, record.seq)
        self._arrivals.append(record.seq)
        return True

    def found(self, record: Record) -> bool:
        """Whether it is a frame that was given up: it is not missing any more."""
        if not self.missing or self.first_seq is None or not isinstance(record, EmotionEvent):
            return False
        if not self.first_seq <= record.seq < self.next_seq:
            return False
        self.missing -= 1
        return True

    def release_next(self, released: list[Waited]) -> None:
        """What nothing is missing before."""
        if self.start is not None:
            released.append(self.start)
            self.start = None
        while self._seqs and self._seqs[0] == self.next_seq:
            self._release(released)

    def release_to(self, seq: int | None, released: list[Waited]) -> int:
        """The events up to `seq` (None: all); returns how many frames between were given up."""
        given_up = 0
        self.release_next(released)
        while self._seqs and (seq is None or self._seqs[0] <= seq):
            given_up += self._release(released)
        return given_up

    def finish(self, released: list[Waited]) -> int:
        """All there is, and the end; returns how many frames were given up."""
        given_up = self.release_to(None, released)
        if self.end is not None:
            released.append(self.end)
            if self.frames is not None and self.first_seq is not None:
                given_up += self._skip_to(self.frames)
        return given_up

    def _hold_source_record(self, record: SourceRecord, now_s: float) -> bool:
        if record.state == "started":
            if self.first_seq is not None:
                return False
            self.start, self.first_seq = Waited(now_s, record), 0
            return True
        if self.end is not None:
            return False
        self.end, self.frames = Waited(now_s, record), record.frames
        self.is_offline = record.state == "offline"
        return True

    def _release(self, released: list[Waited]) -> int:
        seq = heappop(self._seqs)
        given_up = self._skip_to(seq)
        released.append(self._events.pop(seq))
        self.next_seq += 1
        return given_up

    def _skip_to(self, seq: int) -> int:
        """Give up the frames before `seq`; returns how many, none before the first of all."""
        if self.first_seq is None:
            self.first_seq = self.next_seq = seq
        given_up = max(0, seq - self.next_seq)
        self.next_seq += given_up
        self.missing += given_up
        return given_up
