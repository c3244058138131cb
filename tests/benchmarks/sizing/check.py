"""One cell of the plan, tried: as many cameras as this machine should bear, in real time.

It holds if every frame has its event, soon. The cores in use may be more than predicted: the costs
are those at full speed, where batches are full.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from consumer.percentiles import Percentiles
from consumer.reader import EventReader
from contract.process.settings import usable_cores
from tests.benchmarks.footage import repeated
from tests.benchmarks.progress import say
from tests.benchmarks.sizing.costs import Cost, face_ms, keep_file
from tests.benchmarks.sizing.plan import LOAD, sizes, worker_ms
from tests.benchmarks.system import System, cpu_s
from tests.benchmarks.variant import Variant

FPS = 10
_SETTLE_S = 2.0
_KEPT_UP = 0.98  # less of what was sent, and the machine is overloaded


@dataclass(frozen=True, slots=True)
class Check:
    """`cameras` of the smallest size and `FPS` for some seconds.

    predicted, measured   cores in use, by role
    sent, events          frames in that time
    latency               from capture to event
    """

    cameras: int
    faces: float
    predicted: Mapping[str, float]
    measured: Mapping[str, float]
    sent: int
    events: int
    latency: Percentiles | None


def check(folder: Path, variant: Variant, costs: Sequence[Cost], *, seconds: float) -> Check:
    """Run it; the number of cameras is what the costs say for all cores of this machine.

    `folder` has the footage that the costs were measured on.
    """
    cost, per_face = sizes(costs)[0], face_ms(costs)
    all_ms = cost.producer_ms + cost.worker_ms + cost.server_ms + cost.reader_ms
    cameras = max(1, int(LOAD * 1000 * usable_cores() / (FPS * all_ms)))
    say(f"sizing: {cameras} cameras of {FPS} frames/s for {seconds:.0f} s")
    played = repeated(folder / f"{cost.name}.mkv", folder, FPS, fps=FPS)
    with System() as system:
        keep_file(system)
        roles: dict[str, Any] = {
            "worker": system.start("worker", "worker", environment=variant.environment)
        }
        system.wait_ready(roles["worker"])
        roles["reader"] = system.start("reader", "consumer", "--format", "jsonl")
        names = [f"--source-id=camera-{number}" for number in range(cameras)]
        roles["producer"] = system.start(
            "producer", "producer", "--loop", "--mode", "live", *names, *[str(played)] * cameras
        )
        system.wait(lambda: system.total("events") >= cameras * FPS, "a second of all cameras")
        time.sleep(_SETTLE_S)
        before, begin_ns = _look(system, roles), time.time_ns()
        time.sleep(seconds)
        after, end_ns = _look(system, roles), time.time_ns()
        system.stop(roles["producer"])
        with EventReader(system.url, start="beginning", idle_s=0.5) as reader:
            events = [event for event in reader if begin_ns <= event.captured_at_ns < end_ns]
    span_s = (end_ns - begin_ns) / 1e9
    faces = sum(len(event.faces) for event in events) / max(1, len(events))
    rate = cameras * FPS / 1000
    return Check(
        cameras=cameras,
        faces=faces,
        predicted={
            "producer": rate * cost.producer_ms,
            "worker": rate * worker_ms(cost, faces, per_face),
            "redis": rate * cost.server_ms,
            "reader": rate * cost.reader_ms,
        },
        measured={
            name: (after[name] - before[name]) / span_s
            for name in ("producer", "worker", "redis", "reader")
        },
        sent=round(cameras * FPS * span_s),
        events=len(events),
        latency=Percentiles.of([event.latency_s for event in events]),
    )


def _look(system: System, roles: Mapping[str, Any]) -> dict[str, float]:
    return {"redis": system.server_cpu_s, **{name: cpu_s(role) for name, role in roles.items()}}


def check_table(result: Check) -> Table:
    """Predicted beside measured."""
    said = "no events"
    if result.latency is not None:
        p50, p95, p99 = (
            1e3 * value
            for value in (result.latency.p50_s, result.latency.p95_s, result.latency.p99_s)
        )
        said = f"capture to event {p50:.0f} / {p95:.0f} / {p99:.0f} ms"
    if result.events < _KEPT_UP * result.sent:
        said += "\noverloaded: the plan does not hold, or the machine was busy with other things"
    made = Table(
        "cores of the", title_justify="left", caption_justify="left",
        title=f"tried: {result.cameras} cameras of {FPS} frames/s, {result.faces:.2f} faces",
        caption=f"{result.events} events of {result.sent} frames; {said}",
    )  # fmt: skip
    for column in ("predicted", "measured", "off"):
        made.add_column(column, justify="right")
    rows = [(name, result.predicted[name], result.measured[name]) for name in result.predicted]
    rows.append(("all", sum(result.predicted.values()), sum(result.measured.values())))
    for name, predicted, measured in rows:
        off = f"{measured / predicted - 1:+.0%}"
        made.add_row(name, f"{predicted:.3f}", f"{measured:.3f}", off)
    return made
