"""What workers have yet to settle of a source that is to leave its partition.

Like `backpressure.py` it waits for workers; that one for room, this one for certain frames to go.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog

from contract.errors import WorkersMissing
from contract.keys import Keys
from producer.heartbeat import Heartbeat
from producer.outage import OutageGuard

if TYPE_CHECKING:
    import redis

LAST = b"+"  # whatever the newest entry is

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.002, 0.05
_REPORT_S = 30.0

_log = structlog.get_logger()


class Leftovers:
    """Up to a newest entry, or `LAST`. The frames of other sources before it count as well: who
    knows which are whose would have to read them.

    guard       what every call goes through
    give_up_s   how long to wait; inf = for ever

    Methods raise what `OutageGuard.ask` raises.
    """

    def __init__(
        self,
        client: redis.Redis,
        source_id: str,
        guard: OutageGuard,
        heartbeat: Heartbeat,
        *,
        give_up_s: float,
    ) -> None:
        self._client = client
        self._source = source_id
        self._guard = guard
        self._heartbeat = heartbeat
        self._give_up_s = give_up_s

    def are_settled(self, keys: Keys, newest: bytes) -> bool | None:
        """Whether none is left just now; None when asked to stop."""
        return self._guard.ask(lambda: not self._client.xrange(keys.frames, "-", newest, count=1))

    def wait(self, keys: Keys, newest: bytes) -> bool:
        """Until none is left of those there are now. False when asked to stop; raises
        `WorkersMissing` after `give_up_s`."""
        if newest == LAST:  # of now: others may add to it for ever
            reply: Any = self._guard.ask(lambda: self._client.xrevrange(keys.frames, count=1))
            if not reply:
                return reply is not None and not self._heartbeat.is_stopping
            newest = reply[0][0]
        began_s = reported_s = time.monotonic()
        pause_s = _FIRST_PAUSE_S
        while True:
            settled = self.are_settled(keys, newest)
            if settled is None or self._heartbeat.is_stopping:
                return False
            if settled:
                return True
            now_s = time.monotonic()
            if now_s - began_s >= self._give_up_s:
                raise WorkersMissing(
                    f"{self._source}: what is left of it in partition {keys.partition} was not "
                    f"settled for {now_s - began_s:.0f} s (--full-timeout)"
                )
            if now_s - reported_s >= _REPORT_S:
                reported_s = now_s
                _log.warning(
                    "waiting until the old partition is settled",
                    source=self._source,
                    partition=keys.partition,
                    waited_s=round(now_s - began_s),
                )
            self._heartbeat.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
