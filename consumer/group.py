"""One member of a consumer group on one events stream: shared, acknowledged, resumable."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from consumer.progress import Missed, Start, format_id
from consumer.tail import Batch, entries_of
from contract.connect import REFUSED, is_cluster, is_passing
from contract.script import Script
from contract.wire import Entry

if TYPE_CHECKING:
    import redis

# Entries that a member had in hand when it left wait under this name for whoever comes next.
RETURNED = "(returned)"

# Ten minutes' silence of a member that asks every few seconds, with the default `claim_idle_s`.
_FORGET_AFTER_CLAIMS = 10


def group_exists(client: redis.Redis, key: str, group: str) -> bool:
    """Whether the stream has this group; not known, so false, while its node of a cluster is away.
    Raises redis's own errors."""
    try:
        groups: Any = client.xinfo_groups(key)
    except REFUSED as error:
        # The streams of other nodes are not to wait for this one.
        if "no such key" not in str(error) and not (is_cluster(client) and is_passing(error)):
            raise
        return False
    return any(found["name"] == group.encode() for found in groups)


class Member:
    """A named member of a group. All methods raise redis's own errors.

    name           unique among running members; None = a new one, taken off the group at the end
    claim_idle_s   an entry that a member has had for this long without acknowledging it is taken
                   over: its holder is presumed dead
    """

    def __init__(
        self,
        client: redis.Redis,
        key: str,
        start: Start,
        group: str,
        name: str | None,
        claim_idle_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self.key = key
        self._group = group
        self._name = name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        self._keep_name = name is not None
        self._claim_idle_ms = max(1, int(claim_idle_s * 1000))
        self._claim_every_s = claim_idle_s / 12
        self._clock = clock
        self._join, self._read, self._claim, self._leave = (
            Script(client, "consumer", script) for script in ("join", "read", "claim", "leave")
        )
        self._at = start if isinstance(start, str) else format_id(start)
        self.wake_after = "0-0"
        self._own_first = True
        self._next_claim_s = clock()
        self._missed = 0

    def open(self) -> None:
        """Create the group at the start, unless it exists: then it goes on where it stopped."""
        self._join(keys=[self.key], args=[self._group, self._at])

    def fetch(self, count: int) -> Batch:
        """Up to `count` entries; does not wait. Never call it with entries in hand.

        First those handed out before and never acknowledged: ours, and those of dead members.
        """
        try:
            entries = self._unfinished(count)
            if entries:
                return Batch(entries, Missed(self._take_missed()))
            return self._new(count)
        except REFUSED as error:
            if "NOGROUP" not in str(error):
                raise
            self.open()  # Redis lost its data, and the group with it
            return Batch([], Missed(self._take_missed()))

    def acknowledge(self, entry_ids: Iterable[bytes]) -> None:
        """These entries are done: no member gets them again. Repeating it is harmless."""
        self._client.xack(self.key, self._group, *entry_ids)

    def look_again(self) -> None:
        """Read what is in our name before anything new: a reply may have been lost on its way."""
        self._own_first = True

    def leave(self) -> Missed:
        """Hand unfinished entries to whoever comes next, at once and in order."""
        lost = self._leave(
            keys=[self.key],
            args=[self._group, self._name, RETURNED, self._claim_idle_ms, int(self._keep_name)],
        )
        return Missed(int(lost))

    def _unfinished(self, count: int) -> Sequence[tuple[bytes, Entry]]:
        if self._clock() >= self._next_claim_s:
            taken, lost = self._claim(
                keys=[self.key],
                args=[
                    self._group,
                    self._name,
                    self._claim_idle_ms,
                    self._claim_idle_ms * _FORGET_AFTER_CLAIMS,
                ],
            )
            # Delivered from our own list, so that they come in order with what is there already.
            self._own_first = self._own_first or taken > 0
            self._missed += lost
            self._next_claim_s = self._clock() + self._claim_every_s
        while self._own_first:
            reply: Any = self._client.xreadgroup(
                self._group, self._name, {self.key: "0"}, count=count
            )
            entries = reply[0][1] if reply else []
            self._own_first = bool(entries)
            trimmed = [entry_id for entry_id, fields in entries if not fields]
            if trimmed:
                self.acknowledge(trimmed)
                self._missed += len(trimmed)
            present = [entry for entry in entries if entry[1]]
            if present:
                return present
        return []

    def _new(self, count: int) -> Batch:
        reply: Any = self._read(keys=[self.key], args=[self._group, self._name, count])
        if reply is None:
            self.open()
            return Batch([], Missed(self._take_missed()))
        raw, missed, exact, last_id = reply
        self._at = self.wake_after = last_id.decode()
        entries = entries_of(raw)
        missing = Missed(self._take_missed() + missed, exact=bool(exact))
        return Batch(entries, missing, at_end=len(entries) < count)

    def _take_missed(self) -> int:
        missed, self._missed = self._missed, 0
        return missed
