"""Frames a second of everything on the same footage, taking turns: naive loop, `fer`, and for each
engine the ceiling and the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.benchmarks.ceilings import Ceiling
from tests.benchmarks.fer_loop import is_installed
from tests.benchmarks.footage import repeated
from tests.benchmarks.line import run_program
from tests.benchmarks.pipeline import run_pipeline
from tests.benchmarks.progress import say
from tests.benchmarks.run import NotComparable, Run, Spread, ratios, require_same_work

NAIVE, FER = "naive loop", "fer"


@dataclass
class Row:
    """The runs of one contender, a round each.

    kind      naive, fer, ceiling or pipeline
    ceiling   of a pipeline: the row it is judged by
    """

    name: str
    kind: str
    runs: list[Run] = field(default_factory=list)
    ceiling: Row | None = None

    @property
    def frames_per_s(self) -> Spread:
        return Spread.of([run.frames_per_s for run in self.runs])

    def over(self, other: Row) -> Spread | None:
        """How many times faster, round by round; None if the two did different work."""
        try:
            return Spread.of(ratios(self.runs, other.runs))
        except NotComparable:
            return None

    @property
    def efficiency(self) -> Spread | None:
        return None if self.ceiling is None else self.over(self.ceiling)


def measure(
    clip: Path, folder: Path, ceilings: Sequence[Ceiling], *, rounds: int, frames: int, slow: int
) -> list[Row]:
    """All rows for one clip. `frames` is how long the footage is for what is fast, `slow` for the
    loops that take a frame at a time; both are whole repeats of the clip.

    Raises `NotComparable` when a pipeline saw other faces than its ceiling or the naive loop did,
    or ran on another engine than its ceiling.
    """
    long, short = repeated(clip, folder, frames), repeated(clip, folder, slow)
    naive = Row(NAIVE, "naive")
    rows = [naive]
    fer = Row(FER, "fer")
    if is_installed():
        rows.append(fer)
    for ceiling in ceilings:
        best = Row(f"{ceiling.engine}: ceiling", "ceiling")
        rows += [best, Row(f"{ceiling.engine}: pipeline", "pipeline", ceiling=best)]
    for number in range(1, rounds + 1):
        for row in rows:
            say(f"{clip.name}, round {number} of {rounds}: {row.name}")
            row.runs.append(_run(row, ceilings, long, short))
            say(f"    {row.runs[-1].frames_per_s:.1f} frames/s")
        _check(rows, naive)
    return rows


def _run(row: Row, ceilings: Sequence[Ceiling], long: Path, short: Path) -> Run:
    if row.kind in ("naive", "fer"):
        module = "tests.benchmarks.naive" if row.kind == "naive" else "tests.benchmarks.fer_loop"
        return run_program(module, [str(short)])[0]
    (ceiling,) = (known for known in ceilings if row.name.startswith(f"{known.engine}:"))
    return ceiling.run(long) if row.kind == "ceiling" else run_pipeline(long, ceiling.variant)


def _check(rows: Sequence[Row], naive: Row) -> None:
    for row in rows:
        if row.kind == "fer":
            continue  # other faces cost it its ratio, not everybody's run
        for other in filter(None, (naive, row.ceiling)):
            try:
                require_same_work(row.runs, other.runs)
            except NotComparable as error:
                raise NotComparable(f"{row.name} and {other.name}: {error}") from error
        if row.ceiling is not None and row.runs[-1].engine != row.ceiling.runs[-1].engine:
            raise NotComparable(
                f"{row.name} ran on {row.runs[-1].engine or 'an unknown engine'}, its ceiling on "
                f"{row.ceiling.runs[-1].engine}"
            )


def table(clip: Path, rows: Sequence[Row]) -> Table:
    """One clip's rows for people."""
    title = f"{clip.name}: median (least-most) of {len(rows[0].runs)}"
    made = Table(title=title, title_justify="left")
    made.add_column(no_wrap=True)
    for column in ("frames/s", "x naive", "efficiency", "faces/frame", "CPU s/1000", "worker MiB",
                   "all MiB"):  # fmt: skip
        made.add_column(column, justify="right")
    naive = rows[0]
    for row in rows:
        over, efficiency = row.over(naive), row.efficiency
        made.add_row(
            row.name,
            row.frames_per_s.text(),
            "other faces" if over is None else over.text(),
            "" if efficiency is None else efficiency.text("{:.2f}"),
            f"{row.runs[0].faces_per_frame:.2f}",
            Spread.of([run.cpu_s_per_1000 for run in row.runs]).text(),
            f"{max(run.largest_rss for run in row.runs):.0f}",
            f"{max(run.rss for run in row.runs):.0f}",
        )
    return made


def as_json(clip: Path, rows: Sequence[Row]) -> dict[str, Any]:
    """One clip's rows for machines: every round's values."""
    naive = rows[0]
    told = []
    for row in rows:
        over, efficiency = row.over(naive), row.efficiency
        told.append(
            {
                "name": row.name,
                "kind": row.kind,
                "engine": row.runs[0].engine,
                "shape": row.runs[0].shape,
                "frames": row.runs[0].frames,
                "faces_per_frame": row.runs[0].faces_per_frame,
                "frames_per_s": [run.frames_per_s for run in row.runs],
                "ratio_to_naive": None if over is None else over.median,
                "efficiency": None if efficiency is None else efficiency.median,
                "cpu_s_per_1000_frames": [run.cpu_s_per_1000 for run in row.runs],
                "worker_rss_mib": max(run.largest_rss for run in row.runs),
                "all_rss_mib": max(run.rss for run in row.runs),
            }
        )
    return {"clip": clip.name, "rows": told}
