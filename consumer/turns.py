"""Reading and being on time: what comes, and what has waited long enough, in the right order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from consumer.chain import Chain, ChainOptions
from contract.event import Record
from contract.smoothed import Signal

_LONGEST_WAIT_S = 0.5


class Records(Protocol):
    """Where records come from: `EventReader`, or `Player` for a recorded session."""

    @property
    def fetched_at_s(self) -> float:
        """When the record in hand came, or when it was last seen that none was there; monotonic."""

    @property
    def is_over(self) -> bool:
        """Whether there will be no more."""

    @property
    def is_away(self) -> bool:
        """Whether nothing can come just now, which is not the same as nothing being there."""

    def next_record(self, timeout_s: float | None = None, /) -> Record | None: ...


class Signals(Protocol):
    """What makes signals of records: `Chain`, or `Play`, which hands them on as well."""

    def put(self, record: Record, now_s: float, /) -> Sequence[Signal]: ...
    def due(self, now_s: float, /) -> Sequence[Signal]: ...
    def flush(self, now_s: float, /) -> Sequence[Signal]: ...
    def next_due_s(self) -> float | None: ...


class Turn(NamedTuple):
    """A record, if one came at `now_s`, and the signals that were let go."""

    record: Record | None
    signals: Sequence[Signal]
    now_s: float


def turns(records: Records, chain: Signals | None, longest_s: float) -> Iterator[Turn]:
    """Until there are no more: a turn for each record, and one after at most `longest_s` seconds
    without any. The last one brings what still waited.

    `chain` is asked what is due only when everything that came until then was put: a reader that
    was held up must not give up on what it has only not read yet.
    """
    now_s = time.monotonic()
    while not records.is_over:
        due_s = None if chain is None else chain.next_due_s()
        wait_s = longest_s if due_s is None else min(longest_s, due_s - time.monotonic())
        record = records.next_record(max(0.0, wait_s))
        before_s, now_s = now_s, records.fetched_at_s
        signals: list[Signal] = []
        if chain is not None:
            if record is None:
                signals += chain.due(now_s)
            else:
                if now_s > before_s:  # the first of those that came together
                    signals += chain.due(before_s)
                signals += chain.put(record, now_s)
        yield Turn(record, signals, now_s)
    if chain is not None:
        yield Turn(None, chain.flush(now_s), now_s)


def signals(records: Records, options: ChainOptions | None = None) -> Iterator[Signal]:
    """Steady people instead of faces, as they come; the records go through a `Chain`."""
    for turn in turns(records, Chain(options), _LONGEST_WAIT_S):
        yield from turn.signals
