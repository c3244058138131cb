"""The system in Redis: its partitions, and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.connect import explained
from contract.errors import UsageError
from contract.keys import Keys
from contract.partitions import Layout, read_layout
from contract.snapshot import read_snapshot
from worker.check.row import Row, failed, ok

if TYPE_CHECKING:
    import redis


def known_layout(client: redis.Redis, url: str, prefix: str) -> Layout | None:
    """What the system says of itself; None before its first role. Raises `BrokerError`."""
    with explained(url):
        return read_layout(client, prefix)


def look_at_partitions(client: redis.Redis, url: str, prefix: str, wanted: int | None) -> Row:
    """Their number, and whether they can be read. Raises `BrokerError` and `DecodeError`.

    wanted    --partitions
    """
    layout = known_layout(client, url, prefix)
    if layout is None:
        said = f"the system {prefix!r} is new: it will have {wanted or 1}"
        return ok("partitions", said)
    if wanted not in (None, layout.partitions):
        said = f"the system {prefix!r} has {layout.partitions}, --partitions says {wanted}"
        advice = f"leave the flag out, or change the number: emotion-worker partitions {wanted}"
        return failed("partitions", UsageError(said), advice)
    with explained(url):
        snapshots = [read_snapshot(client, Keys(prefix, place)) for place in range(layout.streams)]
    more = f", streams of {layout.streams}" if layout.streams > layout.partitions else ""
    waiting = sum(snapshot.backlog for snapshot in snapshots)
    letters = sum(snapshot.dead_letters for snapshot in snapshots)
    workers = {worker.name for snapshot in snapshots for worker in snapshot.workers}
    return ok(
        "partitions",
        f"{layout.partitions} of the system {prefix!r}{more}; frames that wait {waiting:,}, "
        f"workers {len(workers)}, dead letters {letters:,}",
    )
