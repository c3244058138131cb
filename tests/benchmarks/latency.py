"""Capture to event, in real time: one worker, a few cameras, a few frames a second each.

A real server, worker and producer in live mode. The footage is made to play at the cell's rate, so
a cell is cameras of that rate and no sampling. The events say when each frame was captured and when
its event was published; they are read afterwards, so that reading costs the cell nothing.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from consumer.percentiles import Percentiles
from consumer.reader import EventReader
from contract.connect import connect
from contract.keys import Keys
from contract.process.settings import usable_cores
from contract.snapshot import Snapshot, read_snapshot
from deploy.local.child import Child
from deploy.local.parts import Parts
from deploy.local.settings import UpSettings
from tests.benchmarks.footage import repeated
from tests.benchmarks.progress import say
from tests.benchmarks.variant import Variant

RATES, CAMERAS = (5, 10, 30), (1, 4, 16)  # frames/s of a camera; how many
LEAST_FRAMES = 120  # of a cell: a p99 of fewer is the worst of them
_SETTLE_S = 1.5  # cameras start one after the other; the first second is not like the others
_DRAIN_S = 20.0
_KEPT_UP = 0.98  # less of what was sent, and the machine is overloaded


@dataclass(frozen=True, slots=True)
class Cell:
    """What one load cost. Rates in frames a second of all cameras, latencies in seconds.

    dropped   frames that got no event: left behind for fresher ones, or refused
    """

    cameras: int
    fps: int
    sent_per_s: float
    delivered_per_s: float
    events: int
    dropped: int
    latency: Percentiles | None

    @property
    def is_overloaded(self) -> bool:
        return self.delivered_per_s < _KEPT_UP * self.sent_per_s

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "is_overloaded": self.is_overloaded}


def measure(
    clip: Path,
    folder: Path,
    variant: Variant,
    *,
    seconds: float,
    rates: Sequence[int] = RATES,
    cameras: Sequence[int] = CAMERAS,
) -> list[Cell]:
    """Every cell, of at least `seconds` each, one after the other on one server and worker."""
    cells = []
    with _system(clip, variant) as parts:
        for fps, count in itertools.product(rates, cameras):
            span_s = max(seconds, LEAST_FRAMES / (fps * count))
            say(f"latency: {count} x {fps} frames/s for {span_s:.0f} s")
            frames = int(fps * (span_s + 2 * _SETTLE_S + 5))
            cell = _cell(parts, repeated(clip, folder, frames, fps=fps), count, fps, span_s)
            parts.check()
            cells.append(cell)
            say(f"    {_text(cell)}")
    return cells


@contextmanager
def _system(clip: Path, variant: Variant) -> Iterator[Parts]:
    """A server and a worker that is ready."""
    known = {
        name: value
        for name, value in (("engine", variant.engine), ("precision", variant.precision))
        if name in UpSettings.model_fields
    }
    with Parts(UpSettings(source=[str(clip)], **known)) as parts:
        parts.start_workers()
        while not parts.all_workers_ready:
            parts.check()
            time.sleep(0.05)
        yield parts
        parts.stop()


def _cell(parts: Parts, clip: Path, cameras: int, fps: int, span_s: float) -> Cell:
    ids = [f"camera-{cameras}x{fps}-{number}" for number in range(cameras)]
    # Files wait their turn otherwise. The backlog is what emotion-up allows one worker.
    arguments = [
        "--log-format",
        "json",
        "--mode",
        "live",
        "--max-backlog",
        str(UpSettings(source=[str(clip)]).realtime_backlog(usable_cores())),
        "--at-once",
        str(cameras),
    ]
    for source_id in ids:
        arguments += ["--source-id", source_id]
    keys = Keys(UpSettings.model_fields["prefix"].default)
    with connect(parts.url) as client:
        before = read_snapshot(client, keys)
        producer = Child(
            "producer",
            "producer",
            [*arguments, "--", *([str(clip)] * cameras)],
            environment={"EMOTION_REDIS": parts.url},
        )
        try:
            _wait(lambda: read_snapshot(client, keys).published > before.published)
            time.sleep(span_s + 2 * _SETTLE_S)
            producer.check()
        finally:
            producer.terminate()
            producer.wait(5.0)
            producer.kill()
        _wait(lambda: read_snapshot(client, keys).backlog == 0)
        after = read_snapshot(client, keys)
    with EventReader(parts.url, start="0-0", sources=ids, idle_s=0.5) as reader:
        times = [(event.captured_at_ns, event.latency_s) for event in reader]
    begin_ns = min(at_ns for at_ns, _ in times) + round(_SETTLE_S * 1e9)
    end_ns = begin_ns + round(span_s * 1e9)
    latencies = [latency_s for at_ns, latency_s in times if begin_ns <= at_ns < end_ns]
    return Cell(
        cameras=cameras,
        fps=fps,
        sent_per_s=float(cameras * fps),
        delivered_per_s=len(latencies) / span_s,
        events=len(latencies),
        dropped=_lost(after) - _lost(before),
        latency=Percentiles.of(latencies),
    )


def _lost(snapshot: Snapshot) -> int:
    return sum(snapshot.dropped.values()) + snapshot.refused + snapshot.dead


def _wait(condition: Any) -> None:
    deadline_s = time.monotonic() + _DRAIN_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not within {_DRAIN_S:g} s")
        time.sleep(0.05)


def _text(cell: Cell) -> str:
    """``28 / 56 / 114``, and what an overloaded cell delivered of what was sent."""
    if cell.latency is None:
        return "no events"
    ms = " / ".join(f"{value * 1e3:.0f}" for value in asdict(cell.latency).values())
    if not cell.is_overloaded:
        return ms
    return f"{ms}  overloaded: {cell.delivered_per_s:.0f} of {cell.sent_per_s:.0f}/s"


def table(cells: Sequence[Cell]) -> Table:
    """The cells for people."""
    made = Table("", title="capture to event, p50 / p95 / p99 in ms", title_justify="left")
    counts = sorted({cell.cameras for cell in cells})
    for count in counts:
        made.add_column("1 camera" if count == 1 else f"{count} cameras", justify="right")
    for fps in sorted({cell.fps for cell in cells}):
        row = {cell.cameras: cell for cell in cells if cell.fps == fps}
        shown = [_text(row[count]).replace("  ", "\n") for count in counts]
        made.add_row(f"{fps} frames/s each", *shown)
    return made
