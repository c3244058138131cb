"""How many partitions a system has: one number in Redis, which all its roles go by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.errors import BrokerError, UsageError
from contract.keys import PARTITIONS, config_key

if TYPE_CHECKING:
    import redis

MAX_PARTITIONS = 256  # far more than masters; a worker looks at each of them in turn


def read_partitions(client: redis.Redis, prefix: str) -> int | None:
    """What the system says of itself; None before its first producer or worker.

    Raises redis's own errors, and `BrokerError` for what is no such number.
    """
    value: bytes | None = client.hget(config_key(prefix), PARTITIONS)  # type: ignore[assignment]
    if value is None:
        return None
    if not value.isdigit() or not 1 <= int(value) <= MAX_PARTITIONS:
        raise BrokerError(
            f"{config_key(prefix)}: expected 1 to {MAX_PARTITIONS} {PARTITIONS}, got {value!r}"
        )
    return int(value)


def agree_on_partitions(client: redis.Redis, prefix: str, wanted: int | None) -> int:
    """The system's number, for a role that publishes or settles frames. The first one to come
    decides it for all: `wanted`, or 1.

    Raises `UsageError` if another number than the `wanted` one was decided, and what
    `read_partitions` raises.
    """
    # Read first: a Redis that is out of memory refuses to write, and needs workers all the more.
    number = read_partitions(client, prefix)
    if number is None:
        client.hsetnx(config_key(prefix), PARTITIONS, str(wanted or 1))
        number = read_partitions(client, prefix) or 1
    if wanted not in (None, number):
        raise UsageError(
            f"--partitions: the system {prefix!r} has {number}, got {wanted}; leave the flag out, "
            "or use another --prefix"
        )
    return number


def keep_partitions(client: redis.Redis, prefix: str, number: int) -> None:
    """Say the number again that a running role goes by, if Redis lost it.

    Raises `BrokerError` if the system has another one by now: whoever starts this role again lets
    it go by that.
    """
    try:
        agree_on_partitions(client, prefix, number)
    except UsageError as error:
        raise BrokerError(
            f"the system {prefix!r} was begun anew with another number of partitions"
        ) from error
