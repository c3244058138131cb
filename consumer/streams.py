"""Which events streams a system has, as far as a reader can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from consumer.progress import Missed, Start
from consumer.tail import Batch
from contract.keys import Keys
from contract.layout_watch import LOOK_EVERY_S, LayoutWatch

if TYPE_CHECKING:
    import redis


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
    are, and their number may change while it reads. Every system has the first.
    """

    def __init__(
        self,
        client: redis.Redis,
        prefix: str,
        start: Start,
        make: Callable[[str, Start], Stream],
    ) -> None:
        self._layouts = LayoutWatch(client, prefix, None, says=False, every_s=LOOK_EVERY_S)
        self._prefix = prefix
        self._start = start
        self._make = make
        self._made = 0

    def first(self) -> list[Stream]:
        """Those there are now. Raises redis's own errors, and `BrokerError`."""
        self._layouts.look()
        streams = self._new(self._start)
        self._layouts.start()
        return streams

    def more(self) -> list[Stream]:
        """Those that have come since; mostly none. Asks nobody."""
        # From their beginning: all that is in them came after the reader.
        return self._new("beginning" if self._start == "now" else self._start)

    @property
    def asked_s(self) -> float:
        """When Redis was last asked for them and answered, monotonic: with `more` after this, all
        of that time are known."""
        return self._layouts.looked_s

    def ask_soon(self) -> None:
        """Let it be asked now; does not wait."""
        self._layouts.look_soon()

    def close(self) -> None:
        """Look for no more."""
        self._layouts.close()

    def _new(self, start: Start) -> list[Stream]:
        new = range(self._made, self._layouts.layout.streams)
        self._made = max(self._made, new.stop)
        return [self._make(Keys(self._prefix, number).events, start) for number in new]
