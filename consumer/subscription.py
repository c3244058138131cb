"""Entries of the events streams as they come, through outages, each acknowledged once done.

This is the consumer's file that answers for Redis: `tail.py` and `group.py` send the commands, here
their failures are waited out.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from consumer.progress import Missed
from consumer.tail import Batch
from contract.connect import MAX_BLOCK_S, REFUSED
from contract.outage import Outage
from contract.wire import Entry

if TYPE_CHECKING:
    import redis

_log = logging.getLogger(__name__)
T = TypeVar("T")

# Acknowledged at the latest after so many entries or seconds, or when none is left to hand out.
_ACKNOWLEDGE_AFTER = 64
_ACKNOWLEDGE_AFTER_S = 0.1


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


@dataclass(frozen=True, slots=True)
class Delivery:
    """One entry in our hands."""

    stream: Stream
    entry_id: bytes
    entry: Entry


class Subscription:
    """Fetches ahead from one or more streams.

    outage         how long to bear with a Redis that is away
    batch          most entries fetched from a stream at a time
    stale_after_s  entries fetched longer ago may belong to another member by now, so they are
                   looked up again; None without a group
    is_stopped     asked between any two waits

    `missed` is what was trimmed unread since the owner last emptied it. `back_at_s` is when Redis
    last came back, monotonic. Methods raise `BrokerUnavailable` when an outage is too long and
    `BrokerError` when Redis refuses a command.
    """

    def __init__(
        self,
        client: redis.Redis,
        streams: Sequence[Stream],
        outage: Outage,
        *,
        batch: int,
        stale_after_s: float | None,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._client = client
        self._streams = streams
        self._outage = outage
        self._batch = batch
        self._stale_after_s = stale_after_s
        self._is_stopped = is_stopped
        self._fetched: deque[Delivery] = deque()
        self._fetched_at_s = 0.0
        self._done: list[Delivery] = []
        self._done_since_s = 0.0
        self.missed: list[Missed] = []
        self.back_at_s = 0.0

    def open(self) -> None:
        """Find the place to start."""
        for stream in self._streams:
            self._patiently(stream.open)

    def needs_fetch(self) -> bool:
        """Whether there is nothing in hand that we may be sure of."""
        if self._fetched and self._is_stale():
            self._fetched.clear()
            for stream in self._streams:
                stream.look_again()
        return not self._fetched

    def fetch(self) -> None:
        """Acknowledge what is done and get what is there; does not wait for more."""
        self._patiently(self._acknowledge)
        for stream in self._streams:
            batch = self._patiently(partial(stream.fetch, self._batch))
            if batch is not None:
                self._note(batch.missed)
                self._fetched.extend(Delivery(stream, *entry) for entry in batch.entries)
        self._fetched_at_s = time.monotonic()

    def wait(self, longest_s: float) -> None:
        """Until there is something to fetch, at most `longest_s` and `MAX_BLOCK_S`."""
        # An entry read here only wakes us: `fetch` reads it again, together with the counts that
        # say what was missed. BLOCK 0 would wait for ever.
        block_ms = max(1, int(min(longest_s, MAX_BLOCK_S) * 1000))
        places: Any = {stream.key: stream.wake_after for stream in self._streams}
        self._patiently(lambda: self._client.xread(places, count=1, block=block_ms))

    def take(self) -> Delivery | None:
        """The next entry in hand, if any."""
        return self._fetched.popleft() if self._fetched else None

    def finish(self, delivery: Delivery) -> None:
        """This entry is done."""
        now_s = time.monotonic()
        if not self._done:
            self._done_since_s = now_s
        self._done.append(delivery)
        late = now_s - self._done_since_s >= _ACKNOWLEDGE_AFTER_S
        if late or len(self._done) >= _ACKNOWLEDGE_AFTER:
            self._patiently(self._acknowledge)

    def close(self) -> None:
        """Acknowledge what is done, hand the rest to whoever comes next. Does not wait."""
        try:
            self._acknowledge()
            for stream in self._streams:
                self._note(stream.leave())
        except REFUSED as error:
            # Nothing is lost: what we hold goes to others when they presume us dead.
            _log.warning("left without telling Redis: %s", error)
        self._fetched.clear()

    def _acknowledge(self) -> None:
        for stream in self._streams:
            ids = [delivery.entry_id for delivery in self._done if delivery.stream is stream]
            if ids:
                stream.acknowledge(ids)
        self._done.clear()

    def _is_stale(self) -> bool:
        return (
            self._stale_after_s is not None
            and time.monotonic() - self._fetched_at_s >= self._stale_after_s
        )

    def _note(self, missed: Missed) -> None:
        if missed.count:
            self.missed.append(missed)

    def _patiently(self, work: Callable[[], T]) -> T | None:
        """What `work` returns, tried again while Redis is away; None if stopped meanwhile."""
        while not self._is_stopped():
            try:
                result = work()
            except REFUSED as error:
                for stream in self._streams:
                    stream.look_again()
                self._pause(self._outage.failed(error))
            else:
                if self._outage.over():
                    self.back_at_s = time.monotonic()
                return result
        return None

    def _pause(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while not self._is_stopped() and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(0.05, left_s))
