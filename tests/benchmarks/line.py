"""How a measured program says what it did: a line of JSON, that becomes a `Run`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

from tests.benchmarks.run import Run
from tests.benchmarks.usage import Usage, run_module


class Stopwatch:
    """Starts when it is made."""

    def __init__(self) -> None:
        self.frames = self.faces = 0
        self.begin_ns = time.time_ns()

    def report(self, *, engine: str, shape: str = "") -> None:
        """Stop and print the line; `shape` is how the work was cut."""
        line = {
            "frames": self.frames,
            "faces": self.faces,
            "begin_ns": self.begin_ns,
            "end_ns": time.time_ns(),
            "engine": engine,
            "shape": shape,
        }
        print(json.dumps(line), flush=True)


def run_program(
    module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> list[Run]:
    """Run such a program and measure it; a run for each of its lines. Raises `CommandFailed`."""
    finished, usage = run_module(module, arguments, environment)
    lines = [line for line in finished.stdout.splitlines() if line.startswith("{")]
    return [read_run(line, usage) for line in lines]


def read_run(line: str, usage: Usage) -> Run:
    """The run that a line and the samples of its process tell of."""
    said = json.loads(line)
    return Run(
        **said,
        cpu_s=usage.cpu_between(said["begin_ns"], said["end_ns"]),
        rss=usage.rss,
        largest_rss=usage.largest_rss,
    )
