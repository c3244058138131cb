"""What a frame costs each role, measured on the whole pipeline at full speed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from contract.event import EmotionEvent, decode_record
from contract.keys import Keys
from tests.benchmarks.progress import say
from tests.benchmarks.sizing.footage import WIDTHS, Footage, make_footage
from tests.benchmarks.system import System, cpu_s
from tests.benchmarks.variant import Variant

_PICTURES = 132
_PAUSE_S = 0.1
_BACKLOG = 64
_WARM_FRAMES = 100  # more: before anything is measured the stream is as full as it gets
_LOOKED = 200  # messages whose bytes and faces are counted
_KEYS = Keys()


@dataclass(frozen=True, slots=True)
class Cost:
    """One frame of `name`, which is `width` pixels wide and has `faces`.

    producer_ms, worker_ms, server_ms, reader_ms   CPU-milliseconds, of one core
    message_bytes, event_bytes   of one entry in Redis
    in_bytes, out_bytes          over the network into Redis and out of it, with everything: frame,
                                 event, one worker, one reader
    disk_bytes                   in Redis' append-only file
    """

    name: str
    width: int
    faces: float
    frames_per_s: float
    producer_ms: float
    worker_ms: float
    server_ms: float
    reader_ms: float
    message_bytes: float
    event_bytes: float
    in_bytes: float
    out_bytes: float
    disk_bytes: float


def measure(clip: Path, folder: Path, variant: Variant, *, seconds: float) -> list[Cost]:
    """The cost of a frame of each kind of footage, `seconds` of each.

    One worker on all cores, one producer, one reader, Redis with an append-only file (everysec).
    """
    costs = []
    with System() as system:
        keep_file(system)
        worker = system.start("worker", "worker", environment=variant.environment)
        system.wait_ready(worker)
        reader = system.start("reader", "consumer", "--format", "jsonl")
        for footage in make_footage(clip, folder, _PICTURES):
            say(f"sizing: {footage.name}")
            producer = system.start(
                "producer", "producer", "--loop", "--no-realtime",
                "--max-backlog", str(_BACKLOG), "--max-width", str(max(WIDTHS)),
                str(footage.path),
            )  # fmt: skip
            cost = _cost(system, footage, {"producer": producer, "worker": worker,
                                           "reader": reader}, seconds)  # fmt: skip
            system.stop(producer)
            system.wait(lambda: system.total("backlog") == 0, "an empty stream")
            costs.append(cost)
            say(f"    {cost.frames_per_s:.0f} frames/s, worker {cost.worker_ms:.1f} ms")
    return costs


def keep_file(system: System, fsync: str = "everysec") -> None:
    """Switch Redis' append-only file on, so that it only grows."""
    for name, value in (
        ("auto-aof-rewrite-percentage", "0"),
        ("appendfsync", fsync),
        ("appendonly", "yes"),
    ):
        system.client.config_set(name, value)


def _cost(system: System, footage: Footage, roles: dict[str, Any], seconds: float) -> Cost:
    done = system.total("events")
    system.wait(lambda: system.total("events") >= done + _WARM_FRAMES, "the first frames")
    before = _look(system, roles)
    time.sleep(seconds)
    used = {name: value - before[name] for name, value in _look(system, roles).items()}
    sent, frames = used["published"], used["events"]  # they differ by what the backlog grew
    messages: dict[bytes, int] = {}
    while len(messages) < _LOOKED:  # the stream holds fewer at a time, all of one scene
        system.wait(lambda: _entries(system, _KEYS.frames, 1), "a frame")
        messages.update(
            (place, len(entry[b"m"])) for place, entry in _entries(system, _KEYS.frames)
        )
        time.sleep(_PAUSE_S)
    records = [(len(entry[b"m"]), decode_record(entry))
               for _, entry in _entries(system, _KEYS.events)]  # fmt: skip
    events = [(size, event) for size, event in records if isinstance(event, EmotionEvent)]
    return Cost(
        name=footage.name,
        width=footage.width,
        faces=statistics.mean(len(event.faces) for _, event in events),
        frames_per_s=frames / used["time"],
        producer_ms=1000 * used["producer"] / sent,
        worker_ms=1000 * used["worker"] / frames,
        server_ms=1000 * used["server"] / ((sent + frames) / 2),
        reader_ms=1000 * used["reader"] / frames,
        message_bytes=statistics.mean(messages.values()),
        event_bytes=statistics.mean(size for size, _ in events),
        in_bytes=used["total_net_input_bytes"] / sent,
        out_bytes=used["total_net_output_bytes"] / frames,
        disk_bytes=used["aof_current_size"] / sent,
    )


def _entries(
    system: System, key: str, count: int = _LOOKED
) -> Sequence[tuple[bytes, dict[bytes, bytes]]]:
    """The newest messages of a stream."""
    found: Any = system.client.xrevrange(key, count=count)
    return list(found)


def _look(system: System, roles: dict[str, Any]) -> dict[str, float]:
    """All clocks and counters at this moment."""
    stats: Any = system.client.info("stats")
    disk: Any = system.client.info("persistence")
    return {
        "time": time.monotonic(),
        "server": system.server_cpu_s,
        "published": system.total("published"),
        "events": system.total("events"),
        "total_net_input_bytes": stats["total_net_input_bytes"],
        "total_net_output_bytes": stats["total_net_output_bytes"],
        "aof_current_size": disk.get("aof_current_size", 0),
        **{name: cpu_s(child) for name, child in roles.items()},
    }


def face_ms(costs: Sequence[Cost]) -> float:
    """CPU-milliseconds that one more face costs the worker, by the runs of the smallest width."""
    small = [cost for cost in costs if cost.width == min(WIDTHS)]
    slope, _ = np.polyfit([cost.faces for cost in small], [cost.worker_ms for cost in small], 1)
    return float(slope)
