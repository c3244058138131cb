"""Worker processes as a Deployment keeps them: so many, ended politely, replaced when they die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.chaos.process import REPOSITORY

GRACE_S = 30.0  # `terminationGracePeriodSeconds`


class Pod:
    """One worker process; it logs into a file of its own."""

    def __init__(self, log: Path, command: Sequence[str], environment: Mapping[str, str]) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("EMOTION_")}
        self._log = log
        self._ready = False
        self.ends_by_s = float("inf")  # monotonic: when its grace is over
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command, "--log-format", "json"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=REPOSITORY,
                env={**inherited, **environment},
            )

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def is_ready(self) -> bool:
        """Whether it ever said so."""
        self._ready = self._ready or b'"event": "ready"' in self._log.read_bytes()
        return self._ready

    def terminate(self) -> None:
        """SIGTERM; it has `GRACE_S` to drain."""
        self.ends_by_s = time.monotonic() + GRACE_S
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(GRACE_S)


class Deployment:
    """As many workers as `scale` said last; a context manager.

    bad_ends   how workers ended that should have drained and said 0, or were not asked to end
    """

    def __init__(
        self, folder: Path, command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._command = command
        self._environment = environment
        self._pods: list[Pod] = []
        self._leaving: list[Pod] = []
        self._started = 0
        self.replicas = 0
        self.bad_ends: list[str] = []

    def __enter__(self) -> Deployment:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for pod in (*self._pods, *self._leaving):
            if pod.exit_code is None:
                pod.kill()

    @property
    def ready(self) -> int:
        """Workers that work."""
        return sum(pod.is_ready for pod in self._pods)

    @property
    def leaving(self) -> int:
        """Workers that were asked to end and still drain."""
        return len(self._leaving)

    def scale(self, replicas: int) -> None:
        """Start what is missing; the youngest end first, as a ReplicaSet has it."""
        self.replicas = replicas
        while len(self._pods) > replicas:
            pod = self._pods.pop()
            pod.terminate()
            self._leaving.append(pod)
        while len(self._pods) < replicas:
            self._pods.append(self.start())

    def start(self, environment: Mapping[str, str] | None = None) -> Pod:
        """A worker that `scale` does not count, the caller's to kill."""
        self._started += 1
        log = self._folder / f"worker-{self._started:03d}.log"
        return Pod(log, self._command, {**self._environment, **(environment or {})})

    def keep(self) -> None:
        """Replace those that died, and see how those that were asked to end do it."""
        for place, pod in enumerate(self._pods):
            if pod.exit_code is not None:
                self.bad_ends.append(f"exit code {pod.exit_code} unasked")
                self._pods[place] = self.start()
        for pod in list(self._leaving):
            if pod.exit_code is None and time.monotonic() > pod.ends_by_s:
                pod.kill()
            if pod.exit_code is None:
                continue
            self._leaving.remove(pod)
            # One that is asked before it is ready ends by the signal: it has nothing in hand yet.
            if pod.exit_code != 0 and not (pod.exit_code == -signal.SIGTERM and not pod.is_ready):
                self.bad_ends.append(f"exit code {pod.exit_code} after SIGTERM")
