"""The pipeline with 1, 2 and 4 workers that share the cores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.benchmarks.footage import repeated
from tests.benchmarks.pipeline import run_pipeline
from tests.benchmarks.progress import say
from tests.benchmarks.run import Run, Spread, require_same_work
from tests.benchmarks.variant import Variant

COUNTS = (1, 2, 4)


def measure(
    clip: Path, folder: Path, variant: Variant, *, rounds: int, frames: int
) -> dict[int, list[Run]]:
    """Runs by number of workers, taking turns. Raises `NotComparable`."""
    long = repeated(clip, folder, frames)
    runs: dict[int, list[Run]] = {count: [] for count in COUNTS}
    for number in range(1, rounds + 1):
        for count in COUNTS:
            say(f"workers, round {number} of {rounds}: {count}")
            runs[count].append(run_pipeline(long, variant, ["--workers", str(count)]))
            say(f"    {runs[count][-1].frames_per_s:.1f} frames/s")
            require_same_work(runs[count], runs[COUNTS[0]])
    return runs


def table(runs: Mapping[int, Sequence[Run]]) -> Table:
    """The runs for people."""
    made = Table("workers", title="workers that share the cores", title_justify="left")
    for column in ("frames/s", "CPU s/1000", "a worker's MiB", "all MiB"):
        made.add_column(column, justify="right")
    for count, some in runs.items():
        made.add_row(
            str(count),
            Spread.of([run.frames_per_s for run in some]).text(),
            Spread.of([run.cpu_s_per_1000 for run in some]).text(),
            f"{max(run.largest_rss for run in some):.0f}",
            f"{max(run.rss for run in some):.0f}",
        )
    return made


def as_json(runs: Mapping[int, Sequence[Run]]) -> list[dict[str, Any]]:
    """The runs for machines."""
    return [
        {
            "workers": count,
            "engine": some[0].engine,
            "frames_per_s": [run.frames_per_s for run in some],
            "cpu_s_per_1000_frames": [run.cpu_s_per_1000 for run in some],
            "worker_rss_mib": max(run.largest_rss for run in some),
            "all_rss_mib": max(run.rss for run in some),
        }
        for count, some in runs.items()
    ]
