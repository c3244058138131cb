"""Signals into Redis, for programs in other languages: one stream a partition."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from contract.connect import REFUSED
from contract.errors import EncodeError, SinkFailed, UsageError
from contract.keys import Keys
from contract.partitions import Layout, read_layout
from contract.redact import redacted
from contract.script import Script
from contract.smoothed import Signal

if TYPE_CHECKING:
    import redis

LEASE_S = 15.0
_RENEW_EVERY_S = 3.0
_MAX_SOURCES = 4096


class SignalStream:
    """Appends each signal to `Keys.smoothed` of its source's partition; at most `keep` entries each
    (a little more: Redis trims whole blocks).

    One process a system does this: two would say everything twice, with other track numbers. It
    holds a lease on each partition, checked where entries are added; who comes second gets a
    `UsageError` from `open`. `client` must not retry by itself: a signal whose reply was lost would
    be added twice. `close` closes it.
    """

    def __init__(self, client: redis.Redis, url: str, prefix: str, keep: int) -> None:
        self.name = f"{Keys(prefix).smoothed} on {redacted(url)}"
        self._client = client
        self._prefix = prefix
        self._keep = keep
        self._token = secrets.token_hex(8)
        self._add = Script(client, "consumer", "smoothed")
        self._end = Script(client, "consumer", "smoothed_end")
        self._layout: Layout | None = None
        self._places: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._held: set[int] = set()
        self._renew_s: float | None = None

    def open(self, now_s: float) -> None:
        """Take the leases, so that a second publisher hears of it at once. Raises redis's own
        errors as well."""
        for partition in range(self._look().streams):
            if not self._send(partition):
                raise UsageError(
                    f"--publish: another process publishes {self.name} already; one that was "
                    f"killed counts as gone after {LEASE_S:g} s"
                )
        self._renew_s = now_s + _RENEW_EVERY_S

    def write(self, signal: Signal, now_s: float) -> None:
        """Raises `SinkFailed` when Redis, or another publisher, does not let us."""
        with _explained():
            taken = self._send(self._place_of(signal), signal.encode())
        if not taken:
            raise SinkFailed("another process publishes now")

    def due_s(self) -> float | None:
        return self._renew_s

    def tick(self, now_s: float) -> None:
        """Renew the leases, and take those of partitions that have come. Raises as `write` does."""
        self._renew_s = now_s + _RENEW_EVERY_S
        with _explained():
            here = self._held | set(range(self._look().streams))
            kept = [self._send(partition) for partition in sorted(here)]
        if not all(kept):
            raise SinkFailed("another process publishes now")

    def close(self) -> None:
        """Give the leases back. Raises `SinkFailed` when Redis is away: they run out then."""
        try:
            with _explained():
                for partition in sorted(self._held):
                    self._end([Keys(self._prefix, partition).smoother], [self._token])
        finally:
            self._client.close()

    def _look(self) -> Layout:
        # Unknown before the system's first producer or worker; every system has the first one.
        self._layout = read_layout(self._client, self._prefix) or self._layout
        return self._layout or Layout()

    def _place_of(self, signal: Signal) -> int:
        """The partition of a session stays the same to its end."""
        session, partition = self._places.pop(signal.source, ("", 0))
        if session != signal.session:
            partition = self._look().partition_of(signal.source)
        self._places[signal.source] = signal.session, partition
        if len(self._places) > _MAX_SOURCES:
            self._places.popitem(last=False)
        return partition

    def _send(self, partition: int, *messages: bytes) -> bool:
        """Whether we hold the partition's lease; then `messages` were added."""
        keys = Keys(self._prefix, partition)
        arguments = [self._token, int(LEASE_S * 1000), self._keep, *messages]
        taken = bool(self._add([keys.smoothed, keys.smoother], arguments))
        if taken:
            self._held.add(partition)
        return taken


@contextmanager
def _explained() -> Iterator[None]:
    """Redis's own errors, and a signal too large for the wire, as `SinkFailed`."""
    try:
        yield
    except EncodeError as error:
        raise SinkFailed(str(error)) from error
    except REFUSED as error:
        raise SinkFailed(f"{type(error).__name__}: {error}") from error
