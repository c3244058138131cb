"""One part of the system as a subprocess: started, listened to, stopped, never left behind."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import site
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from contract.errors import EmotionStreamError, UsageError

KEEP_LINES = 40  # of its last words: a traceback
REAP_TIMEOUT_S = 5.0  # after SIGKILL; the kernel may hold a process that waits for a device
SAME_NOTES = 5  # of one kind are shown; a fault of every frame would bury the rest
_ROOT = Path(__file__).resolve().parents[2]  # holds `producer`, `worker`, `deploy`
_LEVELS = ("debug", "info", "warning", "error", "critical")


class PartFailed(EmotionStreamError):
    """A part of the system died. The message is that part's own last error text."""

    def __init__(self, message: str, part_code: int | None = None) -> None:
        super().__init__(message)
        if part_code == UsageError.exit_code:  # what the user gave was wrong, whoever noticed
            self.exit_code = UsageError.exit_code


class Child:
    """``python -m module arguments`` in a session of its own.

    The terminal's Ctrl-C goes to the foreground process group: with sessions of their own the parts
    don't see it, and `emotion-up` stops them in the order that loses nothing.

    ready   set once it has logged the event "ready", which takes a log level of info or debug
    said    what that event carried

    What it logs is passed on from `level` up; with `talks` also what it prints plainly.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str | None] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        level: str = "warning",
        talks: bool = False,
    ) -> None:
        self.name = name
        self.ready = threading.Event()
        self.said: Mapping[str, Any] = {}
        self._level = _LEVELS.index(level)
        self._talks = talks
        self._is_gone = False
        self._notes: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._errors: deque[str] = deque(maxlen=KEEP_LINES)  # not shown yet
        self._heard: Counter[str] = Counter()
        # -P: a folder `worker` where the user happens to stand is not our worker.
        self.process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            env=_environment(environment or {}),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._listener = threading.Thread(target=self._listen, name=f"{name} stderr", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Also the id of its process group."""
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        return self.process.poll()

    def notes(self) -> Iterator[str]:
        """Lines for the user since the last call."""
        while True:
            try:
                note = self._notes.get_nowait()
            except queue.Empty:
                return
            with contextlib.suppress(ValueError):
                self._errors.remove(note)  # said once is enough
            yield note

    def check(self) -> None:
        """Raises `PartFailed` if it has ended, however it did: nobody asked it to."""
        if self.exit_code is not None:
            raise PartFailed(self.last_words(), self.exit_code)

    def last_words(self) -> str:
        """How it ended, and what it said about it that was not shown yet."""
        self._listener.join(1.0)  # what it wrote before it died may still be in the pipe
        code = self.process.returncode
        if code is not None and code < 0:
            try:
                how = f"was killed by {signal.Signals(-code).name}"
            except ValueError:
                how = f"was killed by signal {-code}"
            if -code == signal.SIGKILL:  # it had no chance to say a word; the kernel may know more
                return f"{self.name} {how} (by hand, or the machine ran out of memory)"
        else:
            how = f"ended with exit code {code}"
        return "\n".join([f"{self.name} {how}", *self._errors])

    def terminate(self) -> None:
        """Ask it to finish what it holds and end."""
        self._signal(signal.SIGTERM)

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended within `timeout_s`."""
        try:
            self.process.wait(max(0.0, timeout_s))
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End it now, with everything it started, and reap it; once."""
        if self._is_gone:
            return  # its number may be somebody else's by now
        self._signal(signal.SIGKILL)
        self.wait(REAP_TIMEOUT_S)
        self._listener.join(1.0)
        self._is_gone = True

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stderr:
            for line in stderr:
                self._hear(line.rstrip("\n"))

    def _hear(self, line: str) -> None:
        entry = _log_entry(line)
        if entry is None:
            if line.strip():
                self._errors.append(line)
                if self._talks:
                    self._notes.put(line)
            return
        event = str(entry["event"])
        if event == "ready":
            self.said = entry
            self.ready.set()
        level = _LEVELS.index(entry["level"]) if entry.get("level") in _LEVELS else 0
        if level < self._level:
            return
        note = f"{self.name}: {_plain(entry)}"
        self._heard[event] += 1
        if self._heard[event] == SAME_NOTES:
            note += " (more of these are not shown)"
        if self._heard[event] <= SAME_NOTES:
            self._notes.put(note)
        if level >= _LEVELS.index("error"):
            self._errors.append(note)


def wait_for_all(children: Sequence[Child], deadline_s: float) -> None:
    """Wait until all have ended, or it is monotonic `deadline_s`; then kill those that haven't."""
    for child in children:
        child.wait(deadline_s - time.monotonic())
    for child in children:
        child.kill()


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """Our environment with `changes`; None takes a variable away."""
    changed = {**os.environ, **changes}
    environment = {name: value for name, value in changed.items() if value is not None}
    if str(_ROOT) not in site.getsitepackages():  # run from a checkout that is not installed
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{known}{os.pathsep}{_ROOT}" if known else str(_ROOT)
    return environment


def _log_entry(line: str) -> dict[str, Any] | None:
    """A structlog line as a dict; None for any other text."""
    if not line.startswith("{"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "event" in entry else None


def _plain(entry: Mapping[str, Any]) -> str:
    """A log line in words: the event, then what it carries."""
    known = ("event", "level", "timestamp", "role", "exception")
    details = [f"{key} {value}" for key, value in entry.items() if key not in known]
    with contextlib.suppress(LookupError, TypeError):  # as structlog's dict_tracebacks puts it
        cause = entry["exception"][0]
        details.append(f"{cause['exc_type']}: {cause['exc_value']}")
    return f"{entry['event']} ({', '.join(details)})" if details else str(entry["event"])
