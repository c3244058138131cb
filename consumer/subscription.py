"""Entries of the events streams as they come, through outages, each acknowledged once done.

This is the consumer's file that answers for Redis: `tail.py` and `group.py` send the commands, here
their failures are waited out.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from consumer.holds import LONGEST_S, Holds
from consumer.progress import Missed, parse_id
from consumer.streams import EventStreams, Stream
from contract.connect import MAX_BLOCK_S, POLL_S, REFUSED, is_cluster, probe
from contract.errors import BrokerError
from contract.outage import Outages
from contract.wire import Entry

if TYPE_CHECKING:
    import redis

_log = logging.getLogger(__name__)
T = TypeVar("T")

# Acknowledged at the latest after so many entries or seconds, or when none is left to hand out.
_ACKNOWLEDGE_AFTER = 64
_ACKNOWLEDGE_AFTER_S = 0.1

_HELD_LOOK_S = 0.02  # while anything is held: what it waits for wakes nobody


class Delivery(NamedTuple):
    """One entry in our hands."""

    stream: Stream
    entry_id: bytes
    entry: Entry


class Subscription:
    """Fetches ahead from one or more streams.

    who            what log lines and errors begin with
    timeout_s      how long to bear with a Redis that is away; None = for ever
    batch          most entries fetched from a stream at a time
    stale_after_s  entries fetched longer ago may belong to another member by now, so they are
                   looked up again; None without a group
    is_stopped     asked between any two waits

    A stream whose server is away is left out until its next try is due; the others are read.
    `missed` is what was trimmed unread since the owner last emptied it. `back_at_s` is when Redis
    last came back, monotonic. Methods raise `BrokerUnavailable` when an outage of all streams is
    too long and `BrokerError` when Redis refuses a command.
    """

    def __init__(
        self,
        client: redis.Redis,
        streams: EventStreams,
        who: str,
        *,
        timeout_s: float | None,
        batch: int,
        stale_after_s: float | None,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._client = client
        self._found = streams
        self._streams: list[Stream] = []
        self._batch = batch
        self._stale_after_s = stale_after_s
        self._is_stopped = is_stopped
        self._opened: set[int] = set()
        self._fetched: deque[Delivery] = deque()
        self._fetched_at_s = 0.0
        self._done: list[Delivery] = []
        self._done_since_s = 0.0
        self.missed: list[Missed] = []
        self.back_at_s = 0.0
        self._outages = Outages(who, timeout_s, self._probe, shared=not is_cluster(client))
        # Before what is held is stale: then it would be fetched, and held, once more.
        longest_s = LONGEST_S if stale_after_s is None else min(LONGEST_S, stale_after_s / 2)
        self._holds: Holds[Delivery] = Holds(longest_s)
        self._passes: Delivery | None = None  # was held, and need not be again

    @property
    def outages(self) -> int:
        """How many times a server did not answer and was waited for."""
        return self._outages.count

    def open(self, streams: list[Stream]) -> None:
        """Find the place to start in the first `streams`; in one whose server is away, when it is
        back."""
        self._add(streams)
        while not self._opened and not self._is_stopped():
            for place in range(len(self._streams)):
                if self._outages.is_usable(place):
                    self._open(place)
            self._pause(self._outages.wait_s())

    @property
    def is_away(self) -> bool:
        """Whether any server does not answer, so that nobody knows what it has."""
        return any(self._outages.is_on(place) for place in range(len(self._streams)))

    def needs_fetch(self) -> bool:
        """Whether there is nothing in hand that we may be sure of."""
        if self._fetched and self._is_stale():
            self._fetched.clear()
            self._holds.clear()
            for stream in self._streams:
                stream.look_again()
        return not self._fetched

    def fetch(self) -> None:
        """Acknowledge what is done and get what is there; does not wait for more."""
        asked_s = self._found.asked_s
        self._add(self._found.more())
        self._holds.knows_all(asked_s)
        self._acknowledge()
        if self._take_released():
            return
        unacknowledged = {id(delivery.stream) for delivery in self._done}
        for place, stream in enumerate(self._streams):
            # Asked only now: one that failed a moment ago may have told of this one, too.
            if not self._outages.is_usable(place) or id(stream) in unacknowledged:
                continue
            if place in self._holds or not self._open(place):
                continue
            batch = self._ask(place, partial(stream.fetch, self._batch))
            if batch is not None:
                self._note(batch.missed)
                self._fetched.extend(Delivery(stream, *entry) for entry in batch.entries)
                if self._holds:
                    newest = parse_id(batch.entries[-1][0]) if batch.entries else None
                    now_s = time.monotonic()
                    self._holds.was_read(place, now_s, at_end=batch.at_end, newest=newest)
        self._fetched_at_s = time.monotonic()
        if not self._fetched:
            self._take_released()

    def wait(self, longest_s: float) -> None:
        """Until there is something to fetch, at most `longest_s` and `MAX_BLOCK_S`."""
        longest_s = min(longest_s, _HELD_LOOK_S if self._holds else MAX_BLOCK_S)
        places = [
            place
            for place in self._outages.usable()
            if place in self._opened and place not in self._holds
        ]
        if not places:
            self._pause(min(longest_s, self._outages.wait_s()))
        elif len(places) > 1 and is_cluster(self._client):
            self._pause(min(longest_s, POLL_S * len(places)))
        else:
            self._wait_at(places, longest_s)

    def take(self) -> Delivery | None:
        """The next entry in hand, if any."""
        return self._fetched.popleft() if self._fetched else None

    def hold(self, delivery: Delivery) -> bool:
        """Put it back, because with it a session begins of a source that came from another stream:
        it is handed out again when those were read. False if it has waited."""
        if delivery is self._passes:
            return False
        mine = [item for item in self._fetched if item.stream is delivery.stream]
        rest = [item for item in self._fetched if item.stream is not delivery.stream]
        place = self._streams.index(delivery.stream)
        others = set(range(len(self._streams))) - {place}
        # By the clock of Redis: those of the producers may differ.
        began = parse_id(delivery.entry_id)
        self._holds.add(place, [delivery, *mine], others, began=began, fetched_s=self._fetched_at_s)
        self._found.ask_soon()
        self._fetched = deque(rest)
        return True

    def finish(self, delivery: Delivery) -> None:
        """This entry is done."""
        now_s = time.monotonic()
        if not self._done:
            self._done_since_s = now_s
        self._done.append(delivery)
        late = now_s - self._done_since_s >= _ACKNOWLEDGE_AFTER_S
        if late or len(self._done) >= _ACKNOWLEDGE_AFTER:
            self._acknowledge()

    def close(self) -> None:
        """Acknowledge what is done, hand the rest to whoever comes next. Does not wait, and asks
        nobody who is away."""
        for place in sorted(self._opened):
            stream = self._streams[place]
            if not self._outages.is_usable(place):
                continue
            began_s = time.monotonic()
            try:
                if ids := self._ids_done(stream):
                    stream.acknowledge(ids)
                self._note(stream.leave())
            except REFUSED as error:
                # Nothing is lost: what we hold goes to others when they presume us dead.
                _log.warning("left without telling Redis: %s", error)
                with suppress(BrokerError):  # we are going anyway
                    self._outages.failed(place, error, began_s)
        self._outages.close()
        self._found.close()
        self._done.clear()
        self._fetched.clear()

    def _add(self, streams: list[Stream]) -> None:
        for stream in streams:
            self._holds.add_stream(len(self._streams))
            self._streams.append(stream)
            self._outages.add(stream.key)

    def _take_released(self) -> bool:
        """Whether something that was held is in hand now."""
        now_s = time.monotonic()
        if self._stale_after_s is not None:
            for place in self._holds.drop(now_s - self._stale_after_s):
                self._streams[place].look_again()
        hold = self._holds.release(now_s)
        if hold is None:
            return False
        self._passes = hold.items[0]
        self._fetched.extend(hold.items)
        self._fetched_at_s = hold.fetched_s
        return True

    def _probe(self, place: int) -> None:
        probe(self._client, self._streams[place].key)

    def _open(self, place: int) -> bool:
        """Whether its place to start is known."""
        if place not in self._opened and self._ask(place, _truly(self._streams[place].open)):
            self._opened.add(place)
        return place in self._opened

    def _wait_at(self, places: list[int], longest_s: float) -> None:
        # An entry read here only wakes us: `fetch` reads it again, together with the counts that
        # say what was missed. BLOCK 0 would wait for ever.
        block_ms = max(1, int(longest_s * 1000))
        after: Any = {self._streams[place].key: self._streams[place].wake_after for place in places}
        began_s = time.monotonic()
        try:
            self._client.xread(after, count=1, block=block_ms)
        except REFUSED as error:
            for place in places:
                self._streams[place].look_again()
            self._outages.failed(places[0], error, began_s)  # of a cluster there is but one

    def _acknowledge(self) -> None:
        for place, stream in enumerate(self._streams):
            ids = self._ids_done(stream)
            if not ids or not self._outages.is_usable(place):
                continue
            if self._ask(place, _truly(partial(stream.acknowledge, ids))):
                self._done = [delivery for delivery in self._done if delivery.stream is not stream]

    def _ids_done(self, stream: Stream) -> list[bytes]:
        return [delivery.entry_id for delivery in self._done if delivery.stream is stream]

    def _is_stale(self) -> bool:
        return (
            self._stale_after_s is not None
            and time.monotonic() - self._fetched_at_s >= self._stale_after_s
        )

    def _note(self, missed: Missed) -> None:
        if missed.count:
            self.missed.append(missed)

    def _ask(self, place: int, work: Callable[[], T]) -> T | None:
        """What `work` returns; None if the stream's server is away."""
        began_s = time.monotonic()
        try:
            result = work()
        except REFUSED as error:
            self._streams[place].look_again()
            self._outages.failed(place, error, began_s)
            return None
        if self._outages.answered(place):
            self.back_at_s = time.monotonic()
        return result

    def _pause(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while not self._is_stopped() and (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(0.05, left_s))


def _truly(work: Callable[[], object]) -> Callable[[], bool]:
    """`work`, but returning True when it is done."""

    def done() -> bool:
        work()
        return True

    return done
