"""Redis: is it new enough, does it keep what it is given, has it room?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contract.connect import check, explained, is_cluster
from contract.console import data_size
from contract.errors import BrokerError, UsageError
from contract.redact import redacted
from worker.check.row import Row, failed, ok, warning

if TYPE_CHECKING:
    import redis

_OLDEST = {"Redis": (7, 0), "Valkey": (8, 0)}
_ALMOST_FULL = 0.8


@dataclass(frozen=True, slots=True)
class Node:
    """A server, and what it says of itself (INFO)."""

    name: str
    info: Mapping[str, Any]

    @property
    def program(self) -> str:
        return "Valkey" if "valkey_version" in self.info else "Redis"

    @property
    def version(self) -> str:
        return str(self.info.get("valkey_version") or self.info.get("redis_version", "?"))

    @property
    def is_too_old(self) -> bool:
        numbers = [int(part) for part in self.version.split(".")[:2] if part.isdigit()]
        return bool(numbers) and tuple(numbers) < _OLDEST[self.program]

    @property
    def used_bytes(self) -> int:
        return int(self.info.get("used_memory", 0))

    @property
    def limit_bytes(self) -> int:
        """What it may use; 0 without a limit."""
        return int(self.info.get("maxmemory", 0))


@dataclass(frozen=True, slots=True)
class Server:
    """All servers that hold keys: one, or the masters of a cluster."""

    url: str
    nodes: Sequence[Node]
    answer_ms: float

    @classmethod
    def read(cls, client: redis.Redis, url: str) -> Server:
        """Raises what `contract.connect.check` raises, and `AccessDenied` where this user may not
        ask."""
        check(client, url)
        with explained(url):
            began_s = time.perf_counter()
            client.ping()
            answer_ms = (time.perf_counter() - began_s) * 1000
            if is_cluster(client):
                infos: Any = client.info(target_nodes="primaries")
            else:
                infos = {redacted(url): client.info()}
        nodes = [Node(str(name), info) for name, info in sorted(infos.items())]
        return cls(redacted(url), nodes, answer_ms)

    def reached(self) -> Row:
        """Version, and whether it takes writes."""
        programs = sorted({f"{node.program} {node.version}" for node in self.nodes})
        masters = f", {len(self.nodes)} masters" if len(self.nodes) > 1 else ""
        said = (
            f"{' and '.join(programs)} at {self.url}{masters}, answers in {self.answer_ms:.2f} ms"
        )
        if any(node.is_too_old for node in self.nodes):
            oldest = " or ".join(f"{name} {a}.{b}" for name, (a, b) in _OLDEST.items())
            return failed("redis", UsageError(said), f"expected at least {oldest}")
        if any(node.info.get("role") == "slave" for node in self.nodes):
            error = BrokerError(f"{said}, and is a replica: it takes no writes")
            return failed("redis", error, "give --redis the address of its master")
        if any(node.info.get("loading") for node in self.nodes):
            return warning("redis", f"{said}, and loads its data", "wait: workers do, too")
        return ok("redis", said)

    def eviction(self) -> Row:
        """Whether it may throw streams away."""
        policies = sorted({str(node.info.get("maxmemory_policy", "?")) for node in self.nodes})
        said = f"maxmemory-policy {', '.join(policies)}"
        if not any(policy.startswith("allkeys") for policy in policies):
            return ok("eviction", said)  # nothing of ours that lasts has a time to live
        return warning(
            "eviction",
            f"{said}: when memory runs out, whole streams may go",
            "set maxmemory-policy noeviction",
        )

    def memory(self) -> Row:
        """Whether there is room for more frames."""
        fullest = max(self.nodes, key=_fullness)
        used, limit = fullest.used_bytes, fullest.limit_bytes
        if not limit:
            total = int(fullest.info.get("total_system_memory", 0))
            return ok(
                "memory", f"{data_size(used)} used, no limit, {data_size(total)} on its machine"
            )
        place = f" at {fullest.name}" if len(self.nodes) > 1 else ""
        said = f"{data_size(used)} of {data_size(limit)} used{place}"
        if used >= limit:
            return failed(
                "memory",
                BrokerError(f"{said}: producers are refused until workers have settled frames"),
                "start workers, raise maxmemory, or keep less (--keep-events, --keep-dead-mb)",
            )
        if _fullness(fullest) > _ALMOST_FULL:
            advice = "raise maxmemory, or keep less (--keep-events, --keep-dead-mb, --max-backlog)"
            return warning("memory", said, advice)
        return ok("memory", said)

    def persistence(self) -> Row:
        """What a crash of it would cost."""
        if broken := [node.name for node in self.nodes if _cannot_write(node)]:
            return failed(
                "persistence",
                BrokerError(f"{', '.join(broken)} could not write to its disk the last time"),
                "look at its log and its disk: until then it may refuse all writes",
            )
        if all(node.info.get("aof_enabled") for node in self.nodes):
            return ok("persistence", "append-only file")
        return warning(
            "persistence",
            "no append-only file: a crash of it costs all since the last snapshot, if there is one",
            "appendonly yes, unless frames and events may be lost",
        )


# What it says of itself, but for that it is there.
LOOKS: dict[str, Callable[[Server], Row]] = {
    "eviction": Server.eviction,
    "memory": Server.memory,
    "persistence": Server.persistence,
}


def _fullness(node: Node) -> float:
    return node.used_bytes / node.limit_bytes if node.limit_bytes else 0.0


def _cannot_write(node: Node) -> bool:
    results = (node.info.get("aof_last_write_status"), node.info.get("rdb_last_bgsave_status"))
    return "err" in results
