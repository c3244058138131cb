"""A server and roles of the product, started one by one; each with its own CPU clock."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import psutil
import redis

from contract.connect import connect
from contract.keys import Keys
from contract.process.settings import ENV_PREFIX
from contract.snapshot import Snapshot, read_snapshot
from deploy.local.child import Child, wait_for_all
from deploy.local.supervisor import Supervisor

READY_S = 120.0  # networks are converted at a machine's first start
_POLL_S = 0.002
_GRACE_S = 5.0


class System:
    """The embedded server, and what `start` starts; a context manager that leaves nothing behind.

    url, client    of the server; `client` speaks bytes
    partitions     how many of them are looked at
    """

    def __init__(self, *, partitions: int = 1) -> None:
        self._supervisor = Supervisor(with_server=True)
        assert self._supervisor.url is not None, "a server was asked for"
        self.url: str = self._supervisor.url
        self.client: redis.Redis = connect(self.url)
        self._keys = [Keys(partition=number) for number in range(partitions)]
        self._children: list[Child] = []

    def __enter__(self) -> System:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for child in self._children:
            child.kill()
        self.client.close()
        self._supervisor.close()

    def start(
        self,
        name: str,
        module: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        stdout: int = subprocess.DEVNULL,
    ) -> Child:
        """``python -m module``, which finds our server and none of the caller's settings."""
        settings = {
            **{key: None for key in os.environ if key.startswith(ENV_PREFIX)},
            f"{ENV_PREFIX}REDIS": self.url,
            **(environment or {}),
        }
        child = Child(
            name,
            module,
            [*arguments, "--log-format", "json"],
            environment=settings,
            stdout=stdout,
        )
        self._children.append(child)
        self._supervisor.watch(child.pid)
        return child

    def stop(self, *children: Child) -> None:
        """Ask them to end, and see that they do."""
        for child in children:
            child.terminate()
        wait_for_all(children, time.monotonic() + _GRACE_S)
        for child in children:
            self._supervisor.forget(child.pid)
        self._children = [child for child in self._children if child not in children]

    def stop_all(self) -> None:
        """Whatever still runs, and what has ended by itself."""
        self.stop(*self._children)

    def wait(self, condition: Callable[[], Any], what: str, timeout_s: float = READY_S) -> None:
        """Until it holds. Raises `TimeoutError`, and `PartFailed` when a child has died."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            for child in self._children:
                if child.exit_code:  # a producer at its file's end has ended well
                    child.check()
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{what}: not within {timeout_s:g} s")
            time.sleep(_POLL_S)

    def wait_ready(self, *children: Child) -> None:
        """Until each has said so."""
        for child in children:
            self.wait(child.ready.is_set, f"{child.name} ready")

    def snapshots(self) -> list[Snapshot]:
        """One for each partition."""
        return [read_snapshot(self.client, keys) for keys in self._keys]

    def total(self, field: str) -> int:
        """A count of `Snapshot`, of all partitions together."""
        return sum(getattr(snapshot, field) for snapshot in self.snapshots())

    @property
    def server_cpu_s(self) -> float:
        """CPU seconds of the server since its start."""
        info: Any = self.client.info("cpu")
        return float(info["used_cpu_user"] + info["used_cpu_sys"])


def cpu_s(child: Child) -> float:
    """CPU seconds of a child since its start."""
    times = psutil.Process(child.pid).cpu_times()
    return times.user + times.system
