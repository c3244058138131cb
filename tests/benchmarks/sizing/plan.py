"""From the costs of a frame to what a number of cameras takes. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from tests.benchmarks.sizing.costs import Cost, face_ms
from tests.benchmarks.sizing.stream_memory import stream_bytes

RATES = (5, 10, 15, 30)  # frames/s of a camera
# Of the frames that a core can do at most: above, they wait for each other, and latency grows
# without bound. A core is busier than that: batches are smaller than at full speed, frames dearer.
LOAD = 0.7
BACKLOG = 256  # --max-backlog
FACES = 1.0  # in every frame of the table

FORMULAS = (
    f"cameras a core      {LOAD:g} x 1000 / (frames/s x ms a frame), of the worker or of Redis; "
    f"{FACES:g} face a frame,\n"
    "                    and for each more in every frame {face_ms:.1f} ms of the worker\n"
    "producer's cores    frames/s x ms a frame / 1000, for each camera\n"
    "network             frames/s x bytes into and out of Redis, with one reader\n"
    f"backlog             {BACKLOG} messages in Redis (stream_memory.py), for each partition\n"
    "file                frames/s x 3600 x bytes a frame in the append-only file, before rewrites"
)


@dataclass(frozen=True, slots=True)
class Need:
    """What cameras of `width` pixels and `fps` frames a second take.

    cameras_a_core    for which one core of a worker is enough, at `LOAD`
    cameras_a_redis   for which the one core that a Redis server uses is enough, the same
    producer_cores    for each camera; `network`, `file` likewise, in bytes a second and an hour
    backlog           bytes of a full frames stream
    """

    width: int
    fps: float
    cameras_a_core: float
    cameras_a_redis: float
    producer_cores: float
    network: float
    backlog: float
    file: float


def worker_ms(cost: Cost, faces: float, per_face: float) -> float:
    """A frame of that size with `faces` instead of those it was measured with."""
    return cost.worker_ms + (faces - cost.faces) * per_face


def need(cost: Cost, fps: float, per_face: float) -> Need:
    """For one camera like that, with `FACES` a frame."""
    return Need(
        width=cost.width,
        fps=fps,
        cameras_a_core=LOAD * 1000 / (fps * worker_ms(cost, FACES, per_face)),
        cameras_a_redis=LOAD * 1000 / (fps * cost.server_ms),
        producer_cores=fps * cost.producer_ms / 1000,
        network=fps * (cost.in_bytes + cost.out_bytes),
        backlog=stream_bytes(BACKLOG, cost.message_bytes),
        file=fps * 3600 * cost.disk_bytes,
    )


def sizes(costs: Sequence[Cost]) -> list[Cost]:
    """The first of each width: the footage as it is."""
    first: dict[int, Cost] = {}
    for cost in costs:
        first.setdefault(cost.width, cost)
    return list(first.values())


def cost_table(costs: Sequence[Cost]) -> Table:
    """What was measured."""
    made = Table("a frame", title="what a frame costs: CPU-ms, kB", title_justify="left")
    for column in ("faces", "producer", "worker", "Redis", "reader",
                   "message", "event", "into Redis", "out of it", "on disk"):  # fmt: skip
        made.add_column(column, justify="right")
    for cost in costs:
        times = (cost.producer_ms, cost.worker_ms, cost.server_ms, cost.reader_ms)
        sizes = (cost.message_bytes, cost.event_bytes, cost.in_bytes, cost.out_bytes,
                 cost.disk_bytes)  # fmt: skip
        made.add_row(
            cost.name,
            f"{cost.faces:.2f}",
            *(f"{value:.2f}" for value in times),
            *(f"{value / 1e3:.1f}" for value in sizes),
        )
    return made


def need_table(costs: Sequence[Cost]) -> Table:
    """What an operator reads off; computed."""
    per_face = face_ms(costs)
    made = Table(
        "cameras of", title=f"computed, at {LOAD:.0%} of what a core can do", title_justify="left",
        caption=FORMULAS.format(face_ms=per_face), caption_justify="left",
    )  # fmt: skip
    for column in ("frames/s", "cameras a worker's core", "cameras a Redis", "producer's cores",
                   "network MB/s", "backlog MB", "file GB/h"):  # fmt: skip
        made.add_column(column, justify="right")
    for cost in sizes(costs):
        for fps in RATES:
            row = need(cost, fps, per_face)
            made.add_row(
                str(row.width) if fps == RATES[0] else "",
                str(fps),
                f"{row.cameras_a_core:.1f}",
                f"{row.cameras_a_redis:.0f}",
                f"{row.producer_cores:.3f}",
                f"{row.network / 1e6:.2f}",
                f"{row.backlog / 1e6:.1f}",
                f"{row.file / 1e9:.2f}",
                end_section=fps == RATES[-1],
            )
    return made
