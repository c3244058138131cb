"""How the sources of a system are spread over partitions: a fact in Redis that all roles go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contract.errors import BrokerError, UsageError
from contract.keys import EARLIER, PARTITIONS, config_key, partition_of

if TYPE_CHECKING:
    import redis

MAX_PARTITIONS = 256  # far more than masters; a worker looks at each of them in turn


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the sources of a system live.

    partitions   sources are spread over so many
    earlier      other numbers it had before: frames and events of that time may still be there
    """

    partitions: int = 1
    earlier: tuple[int, ...] = ()

    @property
    def streams(self) -> int:
        """How many partitions may hold frames or events: who reads, reads all of these."""
        return max((self.partitions, *self.earlier))

    def partition_of(self, source: str) -> int:
        """Where a new session of the source begins."""
        return partition_of(source, self.partitions)

    def earlier_partitions_of(self, source: str) -> list[int]:
        """Where else it may have lived."""
        found = {partition_of(source, number) for number in self.earlier}
        return sorted(found - {self.partition_of(source)})

    def followed_by(self, newer: Layout) -> Layout:
        """`newer`, and everything that was known before: no partition is ever forgotten."""
        before = {self.partitions, *self.earlier, *newer.earlier} - {newer.partitions}
        return Layout(newer.partitions, tuple(sorted(before)))


def read_layout(client: redis.Redis, prefix: str) -> Layout | None:
    """What the system says of itself; None before its first producer or worker.

    Raises redis's own errors, and `BrokerError` for what makes no sense.
    """
    key = config_key(prefix)
    reply: Any = client.hmget(key, [PARTITIONS, EARLIER])
    partitions, earlier = reply
    if partitions is None:
        return None
    return Layout(
        _number(key, PARTITIONS, partitions),
        tuple(_number(key, EARLIER, item) for item in (earlier or b"").split(b",") if item),
    )


def agree_on_layout(client: redis.Redis, prefix: str, wanted: int | None) -> Layout:
    """The system's layout, for a role that publishes or settles frames. The first one to come
    decides it for all: `wanted` partitions, or 1.

    Raises `UsageError` if another number than the `wanted` one was decided, and what `read_layout`
    raises.
    """
    layout = say_layout(client, prefix, Layout(wanted or 1))
    if wanted not in (None, layout.partitions):
        raise UsageError(
            f"--partitions: the system {prefix!r} has {layout.partitions}, got {wanted}; leave the "
            f"flag out, use another --prefix, or change it: emotion-worker partitions {wanted}"
        )
    return layout


def say_layout(client: redis.Redis, prefix: str, known: Layout) -> Layout:
    """The system's layout; `known` if Redis has none (yet, or any more), which is put there.

    Raises what `read_layout` raises.
    """
    # Read first: a Redis that is out of memory refuses to write, and needs workers all the more.
    layout = read_layout(client, prefix)
    if layout is None:
        if known.earlier:  # before the number, which others wait for
            client.hsetnx(config_key(prefix), EARLIER, _joined(known.earlier))
        client.hsetnx(config_key(prefix), PARTITIONS, str(known.partitions))
        layout = read_layout(client, prefix) or known
    return layout


def change_layout(client: redis.Redis, prefix: str, partitions: int) -> Layout:
    """Spread the sources of a system, running or not, over `partitions` from now on.

    Each moves by itself, with a new session, once what is left of the old one is settled: see
    `producer.sessions`. All roles look for it once a second. For one caller at a time. Raises
    `UsageError` for a number out of range, and redis's own errors.
    """
    if not 1 <= partitions <= MAX_PARTITIONS:
        raise UsageError(f"expected 1 to {MAX_PARTITIONS} partitions, got {partitions}")
    try:
        before = read_layout(client, prefix)
    except BrokerError:
        before = None  # nonsense there is put right
    layout = Layout(partitions) if before is None else before.followed_by(Layout(partitions))
    client.hset(  # both at once: who reads one of them reads the other
        config_key(prefix),
        mapping={EARLIER: _joined(layout.earlier), PARTITIONS: str(partitions)},
    )
    return layout


def _joined(numbers: tuple[int, ...]) -> str:
    return ",".join(map(str, numbers))


def _number(key: str, field: str, value: bytes) -> int:
    if not value.isdigit() or not 1 <= int(value) <= MAX_PARTITIONS:
        raise BrokerError(f"{key}: expected 1 to {MAX_PARTITIONS} {field}, got {value!r}")
    return int(value)
