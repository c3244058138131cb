"""The pipeline with 1, 2 and 4 workers that share the cores, and 1 and 2 partitions.

The same four sources in every cell, so spread that both of two partitions have two of them; a
producer, one server, a reader.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from consumer.reader import EventReader
from contract.keys import partition_of
from contract.process.settings import usable_cores
from tests.benchmarks.footage import repeated
from tests.benchmarks.pipeline import engine_name
from tests.benchmarks.progress import say
from tests.benchmarks.run import Run, Spread, require_same_work
from tests.benchmarks.system import System
from tests.benchmarks.usage import Watcher
from tests.benchmarks.variant import Variant

COUNTS, PARTITIONS = (1, 2, 4), (1, 2)
Cell = tuple[int, int]  # workers, partitions
CELLS: tuple[Cell, ...] = tuple((count, number) for number in PARTITIONS for count in COUNTS)
_SOURCES = 4


def measure(
    clip: Path, folder: Path, variant: Variant, *, rounds: int, frames: int
) -> dict[Cell, list[Run]]:
    """Runs of each cell, taking turns. Raises `NotComparable`."""
    long = repeated(clip, folder, -(-frames // _SOURCES))
    runs: dict[Cell, list[Run]] = {cell: [] for cell in CELLS}
    for number in range(1, rounds + 1):
        for cell in CELLS:
            say(f"workers, round {number} of {rounds}: {cell[0]}, {cell[1]} partitions")
            runs[cell].append(run_workers(long, variant, *cell))
            say(f"    {runs[cell][-1].frames_per_s:.1f} frames/s")
            require_same_work(runs[cell], runs[CELLS[0]])
    return runs


def run_workers(clip: Path, variant: Variant, workers: int, partitions: int) -> Run:
    """`clip` from four sources at once, as fast as it goes: from the first frame's capture to the
    last event's publication."""
    with System(partitions=partitions) as system, Watcher(os.getpid(), with_root=False) as usage:
        threads = max(1, usable_cores() // workers)
        common = ("--partitions", str(partitions))
        started = [
            system.start(f"worker {number}", "worker", *common, "--threads", str(threads),
                         environment=variant.environment)
            for number in range(workers)
        ]  # fmt: skip
        system.wait_ready(*started)
        system.start("reader", "consumer", "--format", "jsonl", "--from", "beginning")
        ids = source_ids(partitions=max(PARTITIONS), each=_SOURCES // max(PARTITIONS))
        named = [flag for source_id in ids for flag in ("--source-id", source_id)]
        clips = [str(clip)] * _SOURCES
        producer = system.start(
            "producer", "producer", *common, "--no-realtime", "--at-once", str(_SOURCES), *named,
            *clips,
        )  # fmt: skip
        system.wait(lambda: producer.exit_code is not None, "the end of the clip", 600.0)
        system.wait(lambda: system.total("backlog") == 0, "the last event")
        with EventReader(system.url, start="beginning", idle_s=0.5) as reader:
            events = list(reader)
        said = started[0].said
    begin_ns = min(event.captured_at_ns for event in events)
    end_ns = max(event.published_at_ns for event in events)
    return Run(
        frames=len(events),
        faces=sum(len(event.faces) for event in events),
        begin_ns=begin_ns,
        end_ns=end_ns,
        cpu_s=usage.cpu_between(begin_ns, end_ns),
        rss=usage.rss,
        largest_rss=usage.largest_rss,
        engine=engine_name(said),
    )


def source_ids(*, partitions: int, each: int) -> list[str]:
    """Names of sources, `each` of them in every one of `partitions`."""
    left = dict.fromkeys(range(partitions), each)
    found = []
    for number in itertools.count():
        name = f"camera-{number}"
        if left[partition_of(name, partitions)]:
            left[partition_of(name, partitions)] -= 1
            found.append(name)
        if not any(left.values()):
            return found
    raise AssertionError("count() has no end")


def table(runs: Mapping[Cell, Sequence[Run]]) -> Table:
    """The runs for people."""
    made = Table("workers", title="workers that share the cores", title_justify="left")
    for column in ("partitions", "frames/s", "CPU s/1000", "a worker's MiB", "all MiB"):
        made.add_column(column, justify="right")
    for (workers, partitions), some in runs.items():
        made.add_row(
            str(workers),
            str(partitions),
            Spread.of([run.frames_per_s for run in some]).text(),
            Spread.of([run.cpu_s_per_1000 for run in some]).text(),
            f"{max(run.largest_rss for run in some):.0f}",
            f"{max(run.rss for run in some):.0f}",
        )
    return made


def as_json(runs: Mapping[Cell, Sequence[Run]]) -> list[dict[str, Any]]:
    """The runs for machines."""
    return [
        {
            "workers": workers,
            "partitions": partitions,
            "engine": some[0].engine,
            "frames_per_s": [run.frames_per_s for run in some],
            "cpu_s_per_1000_frames": [run.cpu_s_per_1000 for run in some],
            "worker_rss_mib": max(run.largest_rss for run in some),
            "all_rss_mib": max(run.rss for run in some),
        }
        for (workers, partitions), some in runs.items()
    ]
