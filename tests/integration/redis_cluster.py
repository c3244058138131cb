"""A real Redis Cluster on this machine: three masters and a replica for each."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import redis

from contract.connect import connect
from tests.conftest import optional_tool
from tests.ports import free_ports

NODE_TIMEOUT_MS = 1000  # without an answer for so long, a master is replaced


class Node:
    """One server process, which keeps its place in the cluster over a restart, but no data.

    `url` is how to reach it, by default without TLS; `options` are more of its configuration.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        bus_port: int,
        url: str = "",
        options: Mapping[str, object] | None = None,
    ) -> None:
        self._folder, self.port, self._bus_port = folder, port, bus_port
        self._options = options or {}
        self._client = connect(url or f"redis://127.0.0.1:{port}", retries=0)
        self._client.response_callbacks.clear()  # replies as they are
        self.start()

    def start(self) -> None:
        program = optional_tool("redis-server", shutil.which("redis-server"))
        self._folder.mkdir(exist_ok=True)
        options = {
            "port": self.port,
            "cluster-enabled": "yes",
            "cluster-port": self._bus_port,
            "cluster-node-timeout": NODE_TIMEOUT_MS,
            # A part without a master stops nobody else's work.
            "cluster-require-full-coverage": "no",
            "repl-diskless-sync-delay": 0,
            "save": "",
            "dir": self._folder,
            **self._options,
        }
        flags: list[str] = []
        for name, value in options.items():
            flags += [f"--{name}", str(value)]
        self._process = subprocess.Popen([program, *flags], stdout=subprocess.DEVNULL)

    def ask(self, *command: str | int) -> str:
        """The reply, or the error's text while the node does not answer."""
        try:
            reply = self._client.execute_command(*command)
        except redis.RedisError as error:
            return str(error)
        return reply.decode() if isinstance(reply, bytes) else str(reply)

    @property
    def is_master(self) -> bool:
        return "role:master" in self.ask("INFO", "replication")

    @property
    def replicas_online(self) -> int:
        return self.ask("INFO", "replication").count("state=online")

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def close(self) -> None:
        self._client.close()
        self.stop()


class Cluster:
    """Call `close` at the end. `wait_until` is the fixture."""

    def __init__(self, folder: Path, wait_until: Callable[..., None]) -> None:
        program = optional_tool("redis-cli", shutil.which("redis-cli"))
        ports = iter(free_ports(12))
        self.nodes: list[Node] = []
        try:
            for number in range(6):
                self.nodes.append(Node(folder / str(number), next(ports), next(ports)))
            wait_until(lambda: all(node.ask("PING") == "PONG" for node in self.nodes))
            addresses = [f"127.0.0.1:{node.port}" for node in self.nodes]
            create = [program, "--cluster", "create", *addresses, "--cluster-replicas", "1"]
            subprocess.run(
                [*create, "--cluster-yes"], check=True, stdout=subprocess.DEVNULL, timeout=30
            )
            wait_until(lambda: self.is_whole)
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Of two of its nodes, as one would write it."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])

    @property
    def is_whole(self) -> bool:
        """Whether every master has a replica that is up to date, and all know of it."""
        masters = [node for node in self.nodes if node.is_master]
        return (
            len(masters) == 3
            and all(node.replicas_online == 1 for node in masters)
            and all("cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes)
            and all("fail" not in node.ask("CLUSTER", "NODES") for node in self.nodes)
        )

    def master_of(self, key: str) -> Node:
        """The master that has the slot of a key."""
        return next(
            node
            for node in self.nodes
            # A master without the slot answers MOVED, a replica always does.
            if node.ask("EXISTS", key) in ("0", "1")
        )

    def replica_of(self, master: Node) -> Node:
        """The one replica that a master has."""
        replication = master.ask("INFO", "replication")
        return next(node for node in self.nodes if f"port={node.port}," in replication)

    def close(self) -> None:
        for node in self.nodes:
            node.close()
