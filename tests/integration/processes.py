"""Real role processes under test: started, listened to, and never left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


class RoleProcess:
    """`python -m ROLE ARGS` with JSON logs; a context manager that kills what still runs.

    What it prints goes to the file `stdout`, for a role that prints much; a pipe is not read.
    """

    def __init__(
        self,
        role: str,
        *arguments: str,
        stdout: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("EMOTION_")}
        with ExitStack() as stack:  # the child keeps its own handle of the file
            self._process = subprocess.Popen(
                [sys.executable, "-m", role, *arguments, "--log-format", "json"],
                stdout=subprocess.PIPE if stdout is None else stack.enter_context(stdout.open("w")),
                stderr=subprocess.PIPE,
                text=True,
                cwd=REPOSITORY,
                env={**inherited, **(environment or {})},
            )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> RoleProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)
        self._reader.join(10)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        if error is not None:
            print("\n".join(self.lines))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_s: float = 30.0) -> int:
        """The exit code."""
        code = self._process.wait(timeout_s)
        self._reader.join(10)
        return code

    def log(self, event: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """The first log line with this event, waiting for it."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if line.startswith("{"):
                    fields: dict[str, Any] = json.loads(line)
                    if fields.get("event") == event:
                        return fields
            if self._process.poll() is not None:
                self._reader.join(10)
                if not any(f'"event": "{event}"' in line for line in self.lines):
                    break
            time.sleep(0.02)
        pytest.fail(f"no log line {event!r} in:\n" + "\n".join(self.lines))

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line.rstrip("\n"))


def run_role(role: str, arguments: Sequence[str]) -> tuple[int, str]:
    """Run a role to its end: exit code and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", role, *arguments],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=60,
    )
    return done.returncode, done.stderr
