"""One part of the system as a process that is started again whenever it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]


class KeptProcess:
    """``python -m arguments``, as an orchestrator keeps it; its output goes to files in `folder`.

    ready_event   the log event with which it says that it does its work
    ended_alone   the exit codes of those that ended without being asked to
    came_too_soon how many ended at once because there was no server just then
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        ready_event: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("EMOTION_")}
        self._environment = {**inherited, **(environment or {})}
        self._ready_event = ready_event
        self.output = folder / f"{name}.out"
        self.log = folder / f"{name}.log"
        self.ended_alone: list[int] = []
        self.came_too_soon = 0
        self._arguments = arguments
        self._starts_at = 0  # byte of the log where the present process begins
        self._is_wanted = True
        self._spawn()

    def _spawn(self) -> None:
        with self.output.open("ab") as output, self.log.open("ab") as log:
            self._starts_at = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
                cwd=REPOSITORY,
                env=self._environment,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def is_ready(self) -> bool:
        """Whether the present process has said so, and still runs."""
        return self.is_running and self.said(self._ready_event) is not None

    def said(self, event: str) -> dict[str, Any] | None:
        """The first log line of the present process with this event."""
        with self.log.open("rb") as log:
            log.seek(self._starts_at)
            for line in log:
                if line.startswith(b"{"):
                    fields: dict[str, Any] = json.loads(line)
                    if fields["event"] == event:
                        return fields
        return None

    def last_lines(self) -> str:
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-15:])

    def keep(self) -> None:
        """Start it again if it ended by itself."""
        if self._is_wanted and not self.is_running:
            self._note_end()
            self._spawn()

    def kill(self) -> None:
        """SIGKILL, and start another."""
        self._end(signal.SIGKILL)
        self._spawn()

    def freeze(self) -> None:
        """SIGSTOP: for the others it is as good as dead."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it comes back with what it had in hand."""
        if self.is_running:
            self._process.send_signal(signal.SIGCONT)

    def stop(self, timeout_s: float) -> int:
        """SIGTERM, wait, and start another; returns the exit code."""
        code = self._end(signal.SIGTERM, timeout_s)
        self._spawn()
        return code

    def end(self, timeout_s: float) -> int:
        """SIGTERM and wait, for good; returns the exit code.

        Raises `TimeoutExpired` if it does not end.
        """
        self._is_wanted = False
        return self._end(signal.SIGTERM, timeout_s)

    def abandon(self) -> None:
        """For the end of a run that failed."""
        if self.is_running:
            self._end(signal.SIGKILL)

    def _note_end(self) -> None:
        """No server at the start is one line and exit code 1: whoever keeps it tries again."""
        code = self._process.returncode
        with self.log.open("rb") as log:
            log.seek(self._starts_at)
            first = log.readline()
        if code == 1 and b": no Redis at " in first:
            self.came_too_soon += 1
        else:
            self.ended_alone.append(code)

    def _end(self, number: signal.Signals, timeout_s: float = 30.0) -> int:
        if not self.is_running:
            self._note_end()
            return self._process.returncode
        self._process.send_signal(number)
        return self._process.wait(timeout_s)
