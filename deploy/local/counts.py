"""What Redis says of this run: counts since it began, and whether all its frames are settled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.connect import UNREACHABLE
from contract.errors import BrokerUnavailable
from contract.keys import PARTITIONS, Keys
from contract.snapshot import read_snapshot
from deploy.local.status import Counts

if TYPE_CHECKING:
    import redis

EntryId = tuple[int, int]  # milliseconds, number within that millisecond

OUTAGE_TIMEOUT_S = 60.0  # a server of the user's own may restart; the other parts wait as long


def parse_entry_id(text: str) -> EntryId:
    """The id Redis writes as ``milliseconds-number``."""
    milliseconds, _, number = text.partition("-")
    return int(milliseconds), int(number)


class RunCounts:
    """Counts from its creation on, over all partitions. The monotonic time is passed in."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self._client = client
        self._keys = [Keys(prefix, partition) for partition in range(PARTITIONS)]
        self._before = [read_snapshot(client, keys) for keys in self._keys]
        self._away_since_s: float | None = None
        self._until: list[EntryId] | None = None
        self.counts = Counts()
        self.newest_event = self._newest_event()
        """Id of the newest entry of the events streams, when last looked at."""

    def refresh(self, now_s: float) -> bool:
        """Update `counts`; False if the server can't be reached just now.

        Raises `BrokerUnavailable` once it has stayed away for too long.
        """
        try:
            now = [read_snapshot(self._client, keys) for keys in self._keys]
        except UNREACHABLE as error:
            if self._away_since_s is None:
                self._away_since_s = now_s
            if now_s - self._away_since_s > OUTAGE_TIMEOUT_S:
                raise BrokerUnavailable(f"no Redis for {OUTAGE_TIMEOUT_S:g} s: {error}") from error
            return False
        self._away_since_s = None
        self.counts = Counts.between(self._before, now)
        return True

    def all_settled(self) -> bool:
        """Whether every frame has left its stream, as settled frames do. Ask only once the producer
        has ended.

        Later frames of other producers on the same server are not waited for. Once this is true,
        `newest_event` lies at or behind the last event of this run.
        """
        try:
            if self._until is None:
                self._until = [self._last_id(keys.frames) for keys in self._keys]
            for keys, (milliseconds, number) in zip(self._keys, self._until, strict=True):
                if self._client.xrange(keys.frames, "-", f"{milliseconds}-{number}", count=1):
                    return False
            self.look_for_events()
        except UNREACHABLE:
            return False
        return True

    def look_for_events(self) -> None:
        """Update `newest_event`."""
        self.newest_event = self._newest_event()

    def _newest_event(self) -> EntryId:
        return max(self._last_id(keys.events) for keys in self._keys)

    def _last_id(self, stream: str) -> EntryId:
        if not self._client.exists(stream):  # XINFO would complain
            return 0, 0
        return parse_entry_id(self._client.xinfo_stream(stream)["last-generated-id"].decode())
