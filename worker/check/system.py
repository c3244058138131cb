"""The system in Redis: its partitions, and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.connect import explained
from contract.errors import UsageError
from contract.keys import Keys
from contract.partitions import read_partitions
from contract.snapshot import read_snapshot
from worker.check.row import Row, failed, ok

if TYPE_CHECKING:
    import redis


def known_partitions(client: redis.Redis, url: str, prefix: str) -> int | None:
    """How many the system has; None before its first role. Raises `BrokerError`."""
    with explained(url):
        return read_partitions(client, prefix)


def look_at_partitions(client: redis.Redis, url: str, prefix: str, wanted: int | None) -> Row:
    """Their number, and whether they can be read. Raises `BrokerError` and `DecodeError`.

    wanted    --partitions
    """
    number = known_partitions(client, url, prefix)
    if number is None:
        said = f"the system {prefix!r} is new: it will have {wanted or 1}"
        return ok("partitions", said)
    if wanted not in (None, number):
        error = UsageError(f"the system {prefix!r} has {number}, --partitions says {wanted}")
        return failed("partitions", error, "leave the flag out, or use another --prefix")
    with explained(url):
        snapshots = [read_snapshot(client, Keys(prefix, place)) for place in range(number)]
    waiting = sum(snapshot.backlog for snapshot in snapshots)
    letters = sum(snapshot.dead_letters for snapshot in snapshots)
    workers = {worker.name for snapshot in snapshots for worker in snapshot.workers}
    return ok(
        "partitions",
        f"{number} of the system {prefix!r}; frames that wait {waiting:,}, workers {len(workers)}, "
        f"dead letters {letters:,}",
    )
