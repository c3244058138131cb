"""Which events streams a system has, as far as a reader can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from consumer.progress import Missed, Start
from consumer.tail import Batch
from contract.keys import Keys
from contract.partitions import read_partitions

if TYPE_CHECKING:
    import redis

_LOOK_EVERY_S = 0.5


class Stream(Protocol):
    """What `Tail` and `Member` have in common."""

    key: str

    @property
    def wake_after(self) -> str: ...
    def open(self) -> None: ...
    def fetch(self, count: int) -> Batch: ...
    def acknowledge(self, entry_ids: Iterable[bytes]) -> None: ...
    def look_again(self) -> None: ...
    def leave(self) -> Missed: ...


class EventStreams:
    """One stream for each partition, made by `make` from its key and where to start.

    A reader may come before the first producer and worker, who decide how many partitions there
    are. Every system has the first; the others are looked for until their number is known.
    """

    def __init__(
        self,
        client: redis.Redis,
        prefix: str,
        start: Start,
        make: Callable[[str, Start], Stream],
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._start = start
        self._make = make
        self._is_complete = False
        self._next_look_s = 0.0

    def first(self) -> list[Stream]:
        """Those there are now. Raises redis's own errors, and `BrokerError`."""
        number = read_partitions(self._client, self._prefix)
        self._is_complete = number is not None
        return self._streams(range(number or 1), self._start)

    def more(self, now_s: float) -> list[Stream]:
        """Those that have come since, at monotonic `now_s`; mostly none. Raises redis's own errors,
        and `BrokerError`."""
        if self._is_complete or now_s < self._next_look_s:
            return []
        self._next_look_s = now_s + _LOOK_EVERY_S
        number = read_partitions(self._client, self._prefix)
        self._is_complete = number is not None
        # From their beginning: all that is in them came after the reader.
        start = "beginning" if self._start == "now" else self._start
        return self._streams(range(1, number or 1), start)

    def _streams(self, partitions: Iterable[int], start: Start) -> list[Stream]:
        return [self._make(Keys(self._prefix, number).events, start) for number in partitions]
