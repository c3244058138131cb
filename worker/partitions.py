"""All partitions of a system as one work queue, of which each may be away by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

import structlog

from contract.connect import MAX_BLOCK_S, POLL_S, REFUSED
from contract.errors import BrokerError, DecodeError
from contract.outage import Outages
from contract.snapshot import Snapshot
from worker.delivery import Delivery, Settlement
from worker.frames import RedisFrameQueue

_log = structlog.get_logger()
T = TypeVar("T")


class PartitionedQueue:
    """What the loop sees of Redis. It waits out an outage here, of one partition or of all.

    make_queue   the queue of one partition
    count        how many partitions there are; more may come, none goes
    who          what log lines and errors begin with
    shared       all partitions are on one server, and away together
    timeout_s    how long all of them may be away
    on_settled   hears of every settlement, and whether it was this worker's to make
    on_outage    called once at the start of each outage of a partition
    pause        waits for so many seconds, or until the worker is to stop: then it returns true

    A partition that is away is left out until its next try is due; the others go on. What cannot be
    settled there is kept, and settled first when it is back. Raises `BrokerUnavailable` when none
    has answered for `timeout_s`, and `BrokerError` when Redis refuses for good. `renew` and
    `report` may be called from other threads.
    """

    def __init__(
        self,
        make_queue: Callable[[int], RedisFrameQueue],
        count: Callable[[], int],
        *,
        who: str = "worker",
        shared: bool,
        timeout_s: float,
        on_settled: Callable[[Settlement, bool], None],
        on_outage: Callable[[], None],
        pause: Callable[[float], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_queue = make_queue
        self._count = count
        self._shared = shared
        self._queues: list[RedisFrameQueue] = []
        self._outages = Outages(who, timeout_s, self._probe, shared=shared, clock=clock)
        self._on_settled = on_settled
        self._on_outage = on_outage
        self._pause = pause
        self._clock = clock
        self._unsettled: list[list[Settlement]] = []
        self._turn = 0
        self._said: set[tuple[str, int]] = set()
        self._add_new()

    def read(self, count: int, block_s: float) -> list[Delivery]:
        """Up to `count` new frames of all partitions together; waits for the first, up to
        `block_s` or `MAX_BLOCK_S`."""
        if len(self._queues) == 1:
            return self._read_one(count, block_s)
        until_s = self._clock() + min(block_s, MAX_BLOCK_S)
        while not (found := self._sweep(count)):
            left_s = until_s - self._clock()
            if left_s <= 0 or self._pause(min(left_s, POLL_S * len(self._queues))):
                break
        return found

    def recover(self, count: int) -> list[Delivery]:
        """Up to `count` frames that were handed out before and never settled."""
        self._add_new()
        found: list[Delivery] = []
        for place in self._ready():
            room = count - len(found)
            found += self._ask(place, partial(self._queues[place].recover, room)) or ()
            if len(found) == count:
                break
        return found

    def attempt(self, delivery: Delivery) -> int | None:
        """Count one solo attempt, before it is made; returns how many there were with this one.

        None if its partition is away: then it comes again. None also if another worker settled it
        meanwhile. In either case it is not in our hands any more.
        """
        place, queue = delivery.partition, self._queues[delivery.partition]
        attempts = None
        if place in self._outages.usable():
            attempts = self._ask(place, partial(queue.attempt, delivery))
        if not attempts:
            queue.forget(delivery)
        return attempts or None

    def forgive(self, delivery: Delivery) -> None:
        """Take an attempt back that failed through no fault of the frame."""
        place = delivery.partition
        self._ask(place, partial(self._queues[place].forgive, delivery))

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """End deliveries, those of one partition in one atomic step."""
        for item in settlements:
            self._unsettled[item.delivery.partition].append(item)
        for place in range(len(self._queues)):
            if self._outages.is_usable(place):
                self._settle_rest(place)

    def renew(self) -> int:
        """Renew the leases of everything in hand; returns how many are still ours."""
        ours = 0
        for place in self._outages.usable():
            try:
                ours += self._queues[place].renew()
            except REFUSED as error:
                # The loop meets the same trouble, deals with it and says when it is over; a lease
                # that runs out meanwhile costs a second attempt, not a frame.
                self._say_once("leases not renewed", place, error)
                if self._shared:
                    break  # the others would hang as long
            else:
                self._said.discard(("leases not renewed", place))
        return ours

    @property
    def in_hand(self) -> int:
        """How many frames were read and not settled yet."""
        return sum(queue.in_hand for queue in self._queues)

    def leave(self) -> None:
        """Take our name off the groups, unless frames are still pending under it. Asks nobody who
        is away: there is no time to wait any more."""
        self._outages.close()
        for place, queue in enumerate(self._queues):
            if not self._outages.is_usable(place):
                continue
            began_s = self._clock()
            try:
                queue.settle(self._unsettled[place])
                queue.leave()
            except REFUSED as error:  # a courtesy: silent names are taken off by the other workers
                _log.warning("left without telling Redis", partition=place, error=str(error))
                with suppress(BrokerError):  # we are going anyway
                    self._outages.failed(place, error, began_s)

    def report(self) -> dict[int, Snapshot]:
        """The shared counts of those partitions which it is this worker's turn to report."""
        snapshots = {}
        for place in self._outages.usable():
            try:
                snapshot = self._queues[place].report()
            except (*REFUSED, DecodeError) as error:
                self._say_once("shared metrics not read", place, error)
                if self._shared:
                    break
                continue
            self._said.discard(("shared metrics not read", place))
            if snapshot is not None:
                snapshots[place] = snapshot
        return snapshots

    def _add_new(self) -> None:
        """Take up the partitions that have come."""
        for partition in range(len(self._queues), self._count()):
            self._queues.append(self._make_queue(partition))
            self._unsettled.append([])
            # Last: from here on other threads may ask for it.
            self._outages.add(f"partition {partition}")

    def _say_once(self, event: str, place: int, error: Exception) -> None:
        """Once an outage, not once a try."""
        if (event, place) not in self._said:
            _log.warning(event, partition=place, error=str(error))
        self._said.add((event, place))

    def _probe(self, place: int) -> None:
        self._queues[place].probe()

    def _read_one(self, count: int, block_s: float) -> list[Delivery]:
        for place in self._ready():
            return self._ask(place, partial(self._queues[place].read, count, block_s)) or []
        self._pause(min(block_s, self._outages.wait_s()))
        return []

    def _sweep(self, count: int) -> list[Delivery]:
        """Up to `count` new frames of all partitions together; does not wait."""
        # Another one is first each time, or a busy one would leave no room for the others.
        self._turn += 1
        found: list[Delivery] = []
        for place in self._ready():
            room = count - len(found)
            found += self._ask(place, partial(self._queues[place].read, room, 0.0)) or ()
            if len(found) == count:
                break
        return found

    def _ready(self) -> Iterator[int]:
        """The partitions that may be asked, in turn, each after its rest was settled."""
        size = len(self._queues)
        for turn in range(size):
            place = (self._turn + turn) % size
            # Asked only now: one that failed a moment ago may have told of this one, too.
            if self._outages.is_usable(place) and self._settle_rest(place):
                yield place

    def _settle_rest(self, place: int) -> bool:
        """False if the partition does not answer."""
        items = self._unsettled[place]
        if not items:
            return True
        replies = self._ask(place, partial(self._queues[place].settle, items))
        if replies is None:
            return False
        self._unsettled[place] = []
        for item, ours in zip(items, replies, strict=True):
            self._on_settled(item, ours)
        return True

    def _ask(self, place: int, work: Callable[[], T]) -> T | None:
        """What `work` returns; None if the partition is away."""
        began_s = self._clock()
        try:
            result = work()
        except REFUSED as error:
            self._queues[place].lost_touch()
            if not self._outages.is_on(place):
                self._on_outage()
            self._outages.failed(place, error, began_s)
            return None
        self._outages.answered(place)
        return result
