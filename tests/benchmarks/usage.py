"""CPU time and memory of a command and of everything that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).parents[2]
_LOOK_S = 0.2  # often enough for a run of seconds; looking costs what is measured
_FAMILY_EVERY = 4  # looks between two searches for new processes
_MIB = 1024 * 1024


@dataclass
class Usage:
    """Samples of one tree of processes: wall clock in ns, CPU seconds since its start, MiB."""

    times_ns: list[int] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    rss: float = 0.0
    largest_rss: float = 0.0

    def cpu_between(self, begin_ns: int, end_ns: int) -> float:
        """CPU seconds used in that span; between two samples in a straight line."""
        return self._cpu_at(end_ns) - self._cpu_at(begin_ns)

    def _cpu_at(self, at_ns: int) -> float:
        if not self.times_ns:
            return 0.0
        after = bisect_left(self.times_ns, at_ns)
        if after == 0:
            return self.cpu_s[0]
        if after == len(self.times_ns):
            return self.cpu_s[-1]
        earlier, later = self.times_ns[after - 1], self.times_ns[after]
        part = (at_ns - earlier) / (later - earlier)
        return self.cpu_s[after - 1] + part * (self.cpu_s[after] - self.cpu_s[after - 1])


class Watcher:
    """Samples a process and its descendants in a thread of its own; a context manager.

    What a process used before it ended still counts, up to the last look at it. Without `with_root`
    only the descendants are looked at.
    """

    def __init__(self, pid: int, *, with_root: bool = True) -> None:
        self.usage = Usage()
        self._root = pid
        self._with_root = with_root
        self._known: dict[int, psutil.Process] = {}
        self._used_s: dict[int, float] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="usage", daemon=True)

    def __enter__(self) -> Usage:
        self._thread.start()
        return self.usage

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        looks = 0
        while True:
            if looks % _FAMILY_EVERY == 0:
                self._find_family()
            looks += 1
            self._look()
            if self._end.wait(_LOOK_S):
                return

    def _find_family(self) -> None:
        try:
            root = psutil.Process(self._root)
            family = [root] if self._with_root else []
            family += root.children(recursive=True)
        except psutil.Error:
            return
        self._known = {process.pid: process for process in family}

    def _look(self) -> None:
        sizes = [0.0]
        for pid, process in list(self._known.items()):
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    sizes.append(process.memory_info().rss / _MIB)
            except psutil.Error:
                continue
            self._used_s[pid] = times.user + times.system
        self.usage.times_ns.append(time.time_ns())
        self.usage.cpu_s.append(sum(self._used_s.values()))
        self.usage.rss = max(self.usage.rss, sum(sizes))
        self.usage.largest_rss = max(self.usage.largest_rss, *sizes)


class CommandFailed(Exception):
    """A measured program ended with an error; the message is its last words."""


def run_module(
    module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> tuple[subprocess.CompletedProcess[str], Usage]:
    """``python -m module arguments`` from the repository, watched until it ends.

    Raises `CommandFailed` when it fails.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, **(environment or {})},
    )
    try:
        with Watcher(process.pid) as usage:
            out, err = process.communicate()
    finally:
        process.kill()
    if process.returncode:
        last = "\n".join((err or out).strip().splitlines()[-4:])
        raise CommandFailed(f"{module} ended with exit code {process.returncode}: {last}")
    return subprocess.CompletedProcess(process.args, process.returncode, out, err), usage
