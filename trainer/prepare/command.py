"""`emotion-trainer prepare` in a terminal: the bar, Ctrl-C, and what is printed at the end."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import structlog
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from contract.process.settings import usable_cores
from contract.process.stop import stop_on_signals
from trainer.pack import SPLITS
from trainer.prepare.options import Preparation, Report, Stopped, Watch
from trainer.prepare.prepare import prepare, read
from trainer.prepare.writing import Prepared
from trainer.settings import PrepareSettings

STOPPED = 130  # what a shell expects after Ctrl-C
_LOG_EVERY_S = 30.0


def run(settings: PrepareSettings) -> int:
    """Do it; returns the exit code."""
    what = Preparation(
        data=settings.data,
        out=settings.out,
        format=settings.format,
        faces=settings.faces,
        split=settings.split,
        labels=tuple(settings.labels),
        label_map=settings.label_map,
        limit=settings.limit,
        threads=settings.threads or usable_cores(),
        force=settings.force,
    )
    terminal = Console(stderr=True)
    if terminal.is_terminal:
        terminal.print(f"reading {what.data} ...", highlight=False)
    # Photos are decoded by threads already; OpenCV's own beside them would fight for the cores.
    cv2.setNumThreads(1)
    warnings.filterwarnings("ignore", module="PIL")  # half of all phones write EXIF it dislikes
    reading = read(what)
    stop = stop_on_signals()
    try:
        with _progress(terminal) as report:
            prepared = prepare(what, reading, Watch(stop, report))
    except Stopped as stopped:
        print(f"emotion-trainer prepare: {stopped}", file=sys.stderr)
        return STOPPED
    _print(prepared, Console())
    return 0


class _Rate(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s", style="cyan")


@contextmanager
def _progress(terminal: Console) -> Iterator[Report]:
    """A bar on a terminal; elsewhere a log line now and then."""
    if not terminal.is_terminal:
        yield _log_lines()
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=terminal,
        transient=True,
    ) as progress:
        task = progress.add_task("reading", total=None)
        now = ""

        def report(done: int, total: int, what: str = "cropping") -> None:
            nonlocal now
            if what != now:
                # What an earlier run did says nothing about how fast this one is.
                progress.reset(task, completed=done, total=total, description=what)
                now = what
            progress.update(task, completed=done)

        yield report


def _log_lines() -> Report:
    log = structlog.get_logger()
    last_s = time.monotonic()
    first = True

    def report(done: int, total: int, what: str = "cropping") -> None:
        nonlocal last_s, first
        if first and done:
            log.info("goes on", done=done, total=total)
        elif time.monotonic() - last_s > _LOG_EVERY_S:
            last_s = time.monotonic()
            log.info(what, done=done, total=total)
        first = False

    return report


def _print(prepared: Prepared, console: Console) -> None:
    facts = prepared.audit.facts
    images = facts["images"]
    console.print(
        f"[bold]{prepared.pack.path}[/] {os.fspath(prepared.pack.header.fingerprint)[:12]}",
        highlight=False,
    )
    console.print(
        f"read as {facts['reader']}, faces: {facts['faces']}, crops of {facts['side_px']} px, "
        f"split: {facts['split by']}",
        highlight=False,
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    for name in SPLITS:
        table.add_column(name, justify="right")
    for label, counts in facts["classes"].items():
        table.add_row(label, *(f"{counts[name]:,}" for name in SPLITS))
    console.print(table)
    console.print(", ".join(f"{what} {count:,}" for what, count in images.items()), highlight=False)
    for reason, rejected in facts.get("rejected", {}).items():
        console.print(f"  {rejected['count']:,} x {reason}", highlight=False, markup=False)
    if detection := facts.get("detection"):
        console.print(
            f"a face found in {detection['rate']:.1%} of {detection['photos']:,} photos",
            highlight=False,
        )
    for warning in prepared.warnings:
        console.print(f"[yellow]{warning}[/]", highlight=False)
    console.print(f"look at it: {prepared.sheet_path}", highlight=False)
