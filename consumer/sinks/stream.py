"""Signals into Redis, for programs in other languages: one stream a partition."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from contract.connect import REFUSED
from contract.errors import EncodeError, SinkFailed, UsageError
from contract.keys import Keys, partition_of
from contract.partitions import read_partitions
from contract.redact import redacted
from contract.script import Script
from contract.smoothed import Signal

if TYPE_CHECKING:
    import redis

LEASE_S = 15.0
_RENEW_EVERY_S = 3.0


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
        self._partitions: int | None = None
        self._held: set[int] = set()
        self._renew_s: float | None = None

    def open(self, now_s: float) -> None:
        """Take the leases, so that a second publisher hears of it at once. Raises redis's own
        errors as well."""
        for partition in range(self._find_partitions()):
            if not self._send(partition):
                raise UsageError(
                    f"--publish: another process publishes {self.name} already; one that was "
                    f"killed counts as gone after {LEASE_S:g} s"
                )
        self._renew_s = now_s + _RENEW_EVERY_S

    def write(self, signal: Signal, now_s: float) -> None:
        """Raises `SinkFailed` when Redis, or another publisher, does not let us."""
        with _explained():
            partition = partition_of(signal.source, self._find_partitions())
            taken = self._send(partition, signal.encode())
        if not taken:
            raise SinkFailed("another process publishes now")

    def due_s(self) -> float | None:
        return self._renew_s

    def tick(self, now_s: float) -> None:
        """Renew the leases. Raises as `write` does."""
        self._renew_s = now_s + _RENEW_EVERY_S
        with _explained():
            kept = [self._send(partition) for partition in sorted(self._held)]
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

    def _find_partitions(self) -> int:
        # Unknown before the system's first producer or worker; every system has the first one.
        if self._partitions is None:
            self._partitions = read_partitions(self._client, self._prefix)
        return self._partitions or 1

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
