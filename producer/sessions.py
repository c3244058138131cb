"""The sessions of one source: opened, closed, and moved to another partition.

Workers take the frames of a partition in order, but nothing orders those of two. So a source moves
only when all that it has in its old partition is settled: then no frame is analysed before an
earlier one. In a system that keeps up this is so between almost any two frames, and a move costs
none of them. In one that does not, the source waits for it.
"""

from __future__ import annotations

import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from contract.errors import BrokerUnavailable, Superseded
from contract.event import SourceRecord, SourceState
from contract.keys import Keys
from contract.layout_watch import LOOK_EVERY_S, LayoutWatch
from contract.partitions import Layout
from contract.script import Script
from contract.snapshot import SourceStatus, source_status
from producer.heartbeat import Heartbeat
from producer.leftovers import LAST, Leftovers
from producer.outage import OutageGuard

if TYPE_CHECKING:
    import redis

# The workers bound the events stream (--keep-events). This is for a system without any, in which
# a camera that comes and goes would fill it alone; far above theirs, so as not to overrule them.
KEEP_EVENTS = 1_000_000

# A source goes on where it is until workers and readers have heard of the new partition, too: it
# would wait there for them.
_HEARD_S = LOOK_EVERY_S + 0.25

# And how long after that, in the hope of a moment without backlog.
_PATIENCE_S = 2.0

_log = structlog.get_logger()


class Sessions:
    """One session at a time; one thread only.

    client      as in `producer.publish.Publisher`
    layouts     which partition a source is to live in
    guard       what every call goes through
    give_up_s   how long a move may wait for the old partition; inf = for ever

    keys, epoch, id, next_seq   of the session that is open; `id` is "" while none is

    Methods raise what `OutageGuard.ask` raises, `Superseded` when another producer has the source,
    and `WorkersMissing`.
    """

    def __init__(
        self,
        client: redis.Redis,
        layouts: LayoutWatch,
        source_id: str,
        guard: OutageGuard,
        heartbeat: Heartbeat,
        *,
        give_up_s: float,
    ) -> None:
        self._client = client
        self._layouts = layouts
        self._source = source_id
        self._guard = guard
        self._leftovers = Leftovers(client, source_id, guard, heartbeat, give_up_s=give_up_s)
        self._open_script = Script(client, "producer", "open_session")
        self._close_script = Script(client, "producer", "close_session")
        self.keys = self._keys(layouts.layout.partition_of(source_id))
        self.epoch = 0
        self.id = ""
        self.next_seq = 0
        self._frames_expected: int | None = None
        self._newest = LAST  # entry of the source in this partition
        self._due: tuple[int, float] | None = None  # where to move, and since when
        self._settled_in: Layout | None = None  # by this one the source is where it belongs

    def open(self, frames_expected: int | None) -> bool:
        """Start a session and tell readers so; False when asked to stop first.

        `frames_expected` is how many frames will come, None if unknown.
        """
        # The number of partitions is said before a session is: the server may have lost it.
        layout = self._guard.ask(self._layouts.look)
        return layout is not None and self._open(layout, frames_expected)

    def open_again(self) -> bool:
        """A new session for the frames that are left, of one that Redis lost; False when asked to
        stop first."""
        self.id = ""
        return self.open(self._frames_left())

    def move(self) -> bool:
        """Where the source is to live now, a new session for the frames that are left. False when
        asked to stop first."""
        layout = self._guard.ask(self._layouts.look)
        if layout is None:
            return False
        if layout.partition_of(self._source) == self.keys.partition:
            return True  # the number was changed back meanwhile
        return self._open(layout, self._frames_left())

    def _frames_left(self) -> int | None:
        expected = self._frames_expected
        return None if expected is None else max(0, expected - self.next_seq)

    def _open(self, layout: Layout, frames_expected: int | None) -> bool:
        moved = self._leave_others(layout)
        if moved is None:
            return False
        # The time makes ids sort, the random part makes them unique.
        session = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"
        now_ns = time.time_ns()
        record = SourceRecord(self._source, session, "started", now_ns, frames_expected, moved)
        keys = self._keys(layout.partition_of(self._source))

        def open_it() -> Any:
            return self._open_script(
                keys=[keys.fence, keys.events],
                args=[self._source, session, record.encode(), now_ns, KEEP_EVENTS],
            )

        epoch: int | None = self._guard.ask(open_it)
        if epoch is None:
            return False
        self.keys, self.id, self.epoch, self.next_seq = keys, session, epoch, 0
        self._frames_expected = frames_expected
        self._newest = LAST  # an earlier session may have left some here
        self._due = self._settled_in = None
        _log.info("session open", source=self._source, session=session, partition=keys.partition)
        return True

    def took(self, entry_id: bytes | None) -> None:
        """Redis took the next frame; `entry_id` None if the reply that said where was lost."""
        self._newest = LAST if entry_id is None else entry_id
        self.passed()

    def passed(self) -> None:
        """Redis refused the next frame, and its seq with it."""
        self.next_seq += 1

    def is_due_to_move(self) -> bool:
        """Whether the next frame belongs into another partition: that is where the source is to
        live, and nothing is left of it here. When that takes too long, it is true all the same."""
        layout = self._layouts.layout
        if layout is self._settled_in:  # asked for every frame
            return False
        place = layout.partition_of(self._source)
        if place == self.keys.partition:
            self._settled_in = layout
            self._due = None
            return False
        now_s = time.monotonic()
        if self._due is None or self._due[0] != place:
            self._due = place, now_s
        due_s = now_s - self._due[1]
        if due_s < _HEARD_S:
            return False
        if due_s >= _HEARD_S + _PATIENCE_S:
            return True
        settled = self._guard.ask(lambda: self._leftovers.are_settled(self.keys, self._newest))
        return bool(settled)

    def close(self, state: SourceState) -> None:
        """End the session (`state` "ended" or "offline") and tell readers how many frames it had.

        A session that Redis lost or another producer took over needs no closing.
        """
        if self.id:
            self._close(self.keys, self.epoch, self.id, self.next_seq, state)
            self.id = ""

    def _close(
        self,
        keys: Keys,
        epoch: int,
        session: str,
        frames: int,
        state: SourceState,
        *,
        moved: bool = False,
    ) -> int:
        def close() -> Any:
            now_ns = time.time_ns()
            record = SourceRecord(self._source, session, state, now_ns, frames, moved)
            return self._close_script(
                keys=[keys.fence, keys.events],
                args=[
                    self._source, session, epoch, state, frames, record.encode(), now_ns,
                    KEEP_EVENTS,
                ],
            )  # fmt: skip

        while True:
            answer: int | None = self._guard.ask(close)
            if answer is None:
                raise BrokerUnavailable(
                    f"{self._source}: session {session} stays open: Redis did not answer"
                )
            if answer < 0:
                break
            frames = answer
        said = {
            -1: "session moves" if moved else f"session {state}",
            -2: "session lost by redis",
            -3: "session superseded",
        }
        _log.info(said[answer], source=self._source, session=session, frames=frames)
        return answer

    def _leave_others(self, layout: Layout) -> bool | None:
        """End what the source has in partitions it lived in before, its own or that of another
        producer. Whether its last session was in one of them; None when asked to stop."""
        others = layout.earlier_partitions_of(self._source)
        if not others:
            return False
        here = self._guard.ask(partial(self._fence, self._keys(layout.partition_of(self._source))))
        if here is None:
            return None
        newest_ns = max((status.at_ns for status in here), default=-1)
        found = False
        for partition in others:
            keys = self._keys(partition)
            fence = self._guard.ask(partial(self._fence, keys))
            if fence is None:
                return None
            for status in fence:
                is_ours = bool(self.id) and partition == self.keys.partition
                expected = (self.epoch, self.id, "started")
                if is_ours and (status.epoch, status.session, status.state) != expected:
                    raise Superseded(f"{self._source}: another producer opened this source")
                if status.state != "started" and status.at_ns <= newest_ns:
                    continue  # it was left long ago
                found = True
                if not self._leave(keys, status, is_ours=is_ours):
                    return None
        return found

    def _leave(self, keys: Keys, status: SourceStatus, *, is_ours: bool) -> bool:
        """False when asked to stop."""
        frames = status.last_seq + 1
        if is_ours:  # last of all, so that its end comes after its events
            if not self._leftovers.wait(keys, self._newest):
                return False
            answer = self._close(keys, self.epoch, self.id, frames, "ended", moved=True)
            if answer == -3:
                raise Superseded(f"{self._source}: another producer opened this source")
            self.id = ""
            return True
        if status.state == "started":  # first of all, so that its producer sends nothing more
            self._close(keys, status.epoch, status.session, frames, "ended", moved=True)
        return self._leftovers.wait(keys, LAST)

    def _fence(self, keys: Keys) -> list[SourceStatus]:
        value: Any = self._client.hget(keys.fence, self._source)
        return [] if value is None else [source_status(self._source.encode(), value)]

    def _keys(self, partition: int) -> Keys:
        return Keys(self._layouts.prefix, partition)
