"""What Redis says of this run: counts since it began, and whether all its frames are settled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from consumer.progress import EntryId, format_id, parse_id
from contract.connect import REFUSED, is_passing
from contract.errors import BrokerError, BrokerUnavailable, UsageError
from contract.keys import Keys
from contract.partitions import Layout, read_layout
from contract.redact import redacted
from contract.snapshot import read_snapshot
from deploy.local.status import Counts

if TYPE_CHECKING:
    import redis

OUTAGE_TIMEOUT_S = 60.0  # a server of the user's own may restart; the other parts wait as long


class RunCounts:
    """Counts from its creation on. The monotonic time is passed in.

    All methods raise `BrokerError` when the server at `url` refuses a command.
    """

    def __init__(self, client: redis.Redis, url: str, prefix: str) -> None:
        """Raises also `BrokerUnavailable`, and `UsageError` for a system of several partitions."""
        self._client = client
        self._server = redacted(url)
        self._keys = [Keys(prefix)]
        self._away_since_s: float | None = None
        self._until: list[EntryId] | None = None
        self.counts = Counts()
        with self._our_errors():
            # An entry id, and so `newest_event`, is a place in one stream.
            layout = read_layout(client, prefix) or Layout()
            if layout.streams > 1:
                raise UsageError(
                    f"--prefix: expected a system of one partition, {prefix!r} has "
                    f"{layout.streams}: start emotion-producer, emotion-worker and emotion-events"
                )
            self._before = [read_snapshot(client, keys) for keys in self._keys]
            self.newest_event = self._newest_event()
        """Id of the newest entry of the events streams, when last looked at."""

    def refresh(self, now_s: float) -> bool:
        """Update `counts`; False if the server can't be reached just now.

        Raises `BrokerUnavailable` once it has stayed away for too long.
        """
        try:
            with self._our_errors():
                now = [read_snapshot(self._client, keys) for keys in self._keys]
        except BrokerUnavailable as error:
            if self._away_since_s is None:
                self._away_since_s = now_s
            if now_s - self._away_since_s > OUTAGE_TIMEOUT_S:
                raise BrokerUnavailable(f"{error} (for {OUTAGE_TIMEOUT_S:g} s)") from error
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
            with self._our_errors():
                if self._until is None:
                    self._until = [self._last_id(keys.frames) for keys in self._keys]
                for keys, until in zip(self._keys, self._until, strict=True):
                    if self._client.xrange(keys.frames, "-", format_id(until), count=1):
                        return False
        except BrokerUnavailable:
            return False
        return self.look_for_events()

    def look_for_events(self) -> bool:
        """Update `newest_event`; False if the server can't be reached just now."""
        try:
            with self._our_errors():
                self.newest_event = self._newest_event()
        except BrokerUnavailable:
            return False
        return True

    @contextmanager
    def _our_errors(self) -> Iterator[None]:
        """`BrokerUnavailable` for what waiting may cure, `BrokerError` for the rest."""
        try:
            yield
        except REFUSED as error:
            if is_passing(error):
                raise BrokerUnavailable(f"no Redis at {self._server}: {error}") from error
            raise BrokerError(f"Redis at {self._server} refused us: {error}") from error

    def _newest_event(self) -> EntryId:
        return max(self._last_id(keys.events) for keys in self._keys)

    def _last_id(self, stream: str) -> EntryId:
        if not self._client.exists(stream):  # XINFO would complain
            return 0, 0
        return parse_id(self._client.xinfo_stream(stream)["last-generated-id"])
