"""The frames stream as a work queue: read, reclaim, renew, settle.

This is the worker's one file that speaks to Redis. Its promise: a frame that was read is settled
exactly once, by this worker or by another, whoever dies in between (see `scripts/`).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis

from contract import keys as names
from contract.connect import MAX_BLOCK_S, probe
from contract.keys import Keys
from contract.script import Script
from contract.snapshot import Snapshot, read_snapshot
from contract.wire import Entry
from worker.delivery import Delivery, Settlement

REPORTER_TTL_S = 60.0  # longer than any sensible scrape interval

# A worker that does not renew for this long is presumed dead. The same for all workers, so no flag:
# one with a shorter lease would take the frames of live ones.
LEASE_S = 10.0
_FORGET_AFTER_LEASES = 30
_TRIMMED = f"{names.DROPPED}trimmed"
# The last is what Redis 7.0 tells a worker that waits in a stream which a flush takes away.
_NO_GROUP = ("NOGROUP", "no such key", "stream key no longer exists")


class RedisFrameQueue:
    """One worker's view of one partition's frames stream.

    client         with `retries=0`: a repeated XREADGROUP would strand entries unseen
    consumer       this worker's name in the group, unique among running processes
    lease_s        see `LEASE_S`; shorter in tests
    keep_events    about how many entries the events stream keeps
    keep_dead, keep_dead_bytes, keep_dead_s
                   how many dead letters are kept, how many bytes of them, and for how long
    announce       called before the group is made: the server may be new, or have lost its data

    All methods raise redis's own errors; `PartitionedQueue` waits them out. `renew`, `report`
    and `probe` may be called from other threads.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        consumer: str,
        *,
        lease_s: float = LEASE_S,
        keep_events: int = 100_000,
        keep_dead: int = 1_000,
        keep_dead_bytes: int = 256 * 2**20,
        keep_dead_s: float = 7 * 86_400.0,
        announce: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._keys = keys
        self._consumer = consumer
        self._lease_s = lease_s
        self._keep_events = keep_events
        self._keep_dead = (names.DEAD_BYTES, keep_dead, keep_dead_bytes, int(keep_dead_s * 1000))
        self._announce = announce
        self._clock = clock
        self._claim, self._attempt, self._renew, self._leave, self._report = (
            Script(client, "worker", name)
            for name in ("claim", "attempt", "renew", "leave", "report")
        )
        self._settle, self._expire = (
            Script(client, "worker", "letters", name) for name in ("settle", "expire")
        )
        self._in_hand: set[bytes] = set()
        self._tokens: dict[bytes, str] = {}  # of attempts whose reply is still to come
        self._in_hand_lock = threading.Lock()
        self._reread_own = True
        self._next_claim_s = 0.0
        self._claim_cursor: bytes = b"0-0"

    def read(self, count: int, block_s: float) -> list[Delivery]:
        """Up to `count` new frames; waits for the first, up to `block_s` or `MAX_BLOCK_S`."""
        # BLOCK 0 would wait for ever.
        block_ms = max(1, int(min(block_s, MAX_BLOCK_S) * 1000)) if block_s > 0 else None
        return self._take(self._xreadgroup(b">", count, block_ms))

    def recover(self, count: int) -> list[Delivery]:
        """Up to `count` frames that were handed out before and never settled.

        Our own after a lost connection (a reply may have been lost on its way to us), and those of
        workers whose lease ran out, looked for every quarter of a lease. On that
        occasion dead letters that are too old go, or a quiet system would keep them for ever.
        """
        if self._reread_own:
            own = self._xreadgroup(b"0", count + len(self._in_hand), None)
            new = [item for item in own if item[0] not in self._in_hand]
            if new:
                return self._take(new[:count])
            self._reread_own = False
        if self._clock() < self._next_claim_s:
            return []
        cursor, entries = self._with_group(
            lambda: self._claim(
                keys=[self._keys.frames, self._keys.stats, self._keys.attempts],
                args=[
                    names.WORKERS_GROUP,
                    self._consumer,
                    int(self._lease_s * 1000),
                    self._claim_cursor,
                    count,
                    _TRIMMED,
                    names.REDELIVERED,
                    int(self._lease_s * _FORGET_AFTER_LEASES * 1000),
                ],
            )
        )
        self._claim_cursor = cursor
        if cursor == b"0-0" and not entries:
            self._tokens.clear()  # nothing is left that could be tried again
            self._expire(keys=[self._keys.dead, self._keys.stats], args=self._keep_dead)
            self._next_claim_s = self._clock() + self._lease_s / 4
        return self._take([(entry_id, _pairs(fields)) for entry_id, fields in entries])

    def attempt(self, delivery: Delivery) -> int:
        """Count one solo attempt, before it is made; returns how many there were with this one, 0
        for a frame that was settled meanwhile.

        Counted in Redis, because the attempt may end this process. The group's own delivery count
        will not do: it also rises for innocents of the same batch.
        """
        # Kept until there is a reply: only then the next attempt is another one.
        token = self._tokens.setdefault(delivery.entry_id, secrets.token_hex(4))
        attempts = self._count_attempt(delivery, token)
        del self._tokens[delivery.entry_id]
        return attempts

    def forgive(self, delivery: Delivery) -> int:
        """Take an attempt back that was not made, or failed through no fault of the frame."""
        return self._count_attempt(delivery, "")

    def _count_attempt(self, delivery: Delivery, token: str) -> int:
        return int(
            self._attempt(
                keys=[self._keys.attempts, self._keys.frames],
                args=[delivery.entry_id, token, names.WORKERS_GROUP],
            )
        )

    def settle(self, settlements: Sequence[Settlement]) -> list[bool]:
        """End deliveries in one atomic step. False marks those another worker ended before us.

        Safe to repeat after a lost reply: what was settled the first time answers False then.
        """
        if not settlements:
            return []
        arguments: list[Any] = [
            names.WORKERS_GROUP, self._keep_events, time.time_ns(), *self._keep_dead
        ]  # fmt: skip
        for item in settlements:
            arguments += [
                item.delivery.entry_id,
                item.kind,
                item.stats_field,
                item.body,
                item.detail,
            ]
        keys = self._keys
        replies = self._with_group(
            lambda: self._settle(
                keys=[keys.frames, keys.events, keys.dead, keys.stats, keys.attempts],
                args=arguments,
            )
        )
        with self._in_hand_lock:
            self._in_hand.difference_update(item.delivery.entry_id for item in settlements)
        return [reply == 1 for reply in replies]

    def renew(self) -> int:
        """Renew the leases of everything in hand; returns how many are still ours."""
        with self._in_hand_lock:
            ids = list(self._in_hand)
        if not ids:
            return 0
        return int(
            self._renew(
                keys=[self._keys.frames, self._keys.stats, self._keys.attempts],
                args=[names.WORKERS_GROUP, self._consumer, _TRIMMED, *ids],
            )
        )

    @property
    def partition(self) -> int:
        """Which one this is."""
        return self._keys.partition

    @property
    def in_hand(self) -> int:
        """How many frames were read and not settled yet."""
        with self._in_hand_lock:
            return len(self._in_hand)

    def lost_touch(self) -> None:
        """The connection broke: look for frames that were handed out to us unseen."""
        self._reread_own = True

    def probe(self) -> None:
        """Ask the server for a sign of life."""
        probe(self._client, self._keys.frames)

    def forget(self, delivery: Delivery) -> None:
        """Give up a delivery unsettled: it is read again, when touch was lost or its lease ran
        out."""
        with self._in_hand_lock:
            self._in_hand.discard(delivery.entry_id)

    def leave(self) -> None:
        """Take our name off the group, unless frames are still pending under it."""
        self._leave(
            keys=[self._keys.frames, self._keys.reporter],
            args=[names.WORKERS_GROUP, self._consumer],
        )

    def report(self) -> Snapshot | None:
        """The partition's shared counts if it is this worker's turn to report them, else None."""
        ours = self._report(
            keys=[self._keys.reporter], args=[self._consumer, int(REPORTER_TTL_S * 1000)]
        )
        return read_snapshot(self._client, self._keys) if ours else None

    def _xreadgroup(
        self, start: bytes, count: int, block_ms: int | None
    ) -> list[tuple[bytes, Entry]]:
        reply: Any = self._with_group(
            lambda: self._client.xreadgroup(
                names.WORKERS_GROUP,
                self._consumer,
                {self._keys.frames: start},
                count=count,
                block=block_ms,
            )
        )
        return reply[0][1] if reply else []

    def _with_group(self, call: Callable[[], Any]) -> Any:
        """`call`, with the stream and its group created when they are not there (yet, or any more).

        From id 0: frames published before the first worker started are work, too.
        """
        try:
            return call()
        except redis.ResponseError as error:
            if not any(words in str(error) for words in _NO_GROUP):
                raise
        self._announce()
        try:
            self._client.xgroup_create(
                self._keys.frames, names.WORKERS_GROUP, id="0", mkstream=True
            )
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):  # another worker was faster
                raise
        return call()

    def _take(self, entries: Iterable[tuple[bytes, Entry]]) -> list[Delivery]:
        deliveries = [
            Delivery(self.partition, entry_id, entry or {}) for entry_id, entry in entries
        ]
        with self._in_hand_lock:
            self._in_hand.update(delivery.entry_id for delivery in deliveries)
        return deliveries


def _pairs(fields: Sequence[bytes] | None) -> dict[bytes, bytes]:
    """Lua's flat field list as a map; a trimmed entry has none."""
    return dict(zip(fields[::2], fields[1::2], strict=True)) if fields else {}
