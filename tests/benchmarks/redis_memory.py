"""What Redis keeps at the defaults' limits, beside the formula; and what a copy on disk costs.

    python -m tests.benchmarks.redis_memory                  two minutes on two cores
    python -m tests.benchmarks.redis_memory --part 0.01      a hundredth of everything

Debian's redis-server if it is installed, since it has jemalloc as the images have, else the
embedded Valkey. All sizes are for one partition, in MB (10^6 bytes).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from rich.console import Console
from rich.table import Table

from contract.keys import Keys
from contract.process.logs import configure_logs
from producer.settings import ProducerSettings
from tests.benchmarks import machine
from tests.benchmarks.progress import say
from tests.benchmarks.sizing import fill
from tests.benchmarks.sizing.persistence import MODES, Persistence, measure_mode
from tests.integration.servers import Program, TroubledServer
from worker.settings import WorkerSettings

MAXMEMORY = 2**30  # of compose.yaml and k8s/valkey
_ALERT = 0.8  # of it: the alert's threshold
_KEYS = Keys()
_DIFFERENT = 2_000  # messages, repeated: those of 100,000 take minutes to make
_PICTURES = 64

BACKLOG: int = ProducerSettings.model_fields["max_backlog"].default
EVENTS: int = WorkerSettings.model_fields["keep_events"].default
LETTERS: int = WorkerSettings.model_fields["keep_dead"].default


@dataclass(frozen=True, slots=True)
class Kept:
    """Something that Redis keeps: `entries` of `each` bytes; bytes of memory in all."""

    what: str
    entries: int
    each: float
    measured: int
    formula: float


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.redis_memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--part", type=float, default=1.0, help="of all numbers (default: 1)")
    parser.add_argument("--frames", type=int, default=500, help="for each way to persist")
    options = parser.parse_args()
    configure_logs("bench", "warning", "auto")
    told = machine.describe()
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(machine.headline(told))
    program: Program = "oldest_redis" if shutil.which("redis-server") else "valkey"
    with tempfile.TemporaryDirectory() as folder:
        with TroubledServer(program, Path(folder), "--appendonly", "no") as server:
            kept = measure(server.client, options.part)
            console.print(table(kept, _version(server.client)))
            console.print(_at_once(server.client, options.part), highlight=False)
        console.print(persistence_table(_modes(program, Path(folder), options.frames)))
    return 0


def measure(client: redis.Redis, part: float) -> list[Kept]:
    """Everything, one after the other."""
    backlog, events, letters = (round(most * part) for most in (BACKLOG, EVENTS, LETTERS))
    different = max(50, round(_DIFFERENT * min(1.0, 10 * part)))
    frames = {width: fill.frame_messages(width, _PICTURES) for width in (640, 1280, 1920)}
    kept = [
        _kept(client, f"frames, {width} pixels", fill.add, _KEYS.frames, messages, backlog)
        for width, messages in frames.items()
    ]
    for faces in (0, 1, 2, 8):
        messages = fill.event_messages(faces, different)
        kept.append(
            _kept(client, f"events, faces: {faces}", fill.add, _KEYS.events, messages, events)
        )
    for people in (1, 8):
        messages = fill.smoothed_messages(people, different)
        kept.append(
            _kept(client, f"smoothed, people: {people}", fill.add, _KEYS.smoothed, messages, events)
        )
    kept += [
        _kept(client, f"dead letters, {width} pixels", fill.bury, _KEYS, frames[width], letters)
        for width in (1280, 1920)
    ]
    return kept


def _kept(
    client: redis.Redis, what: str, work: Callable[..., Sequence[int]], *arguments: Any
) -> Kept:
    """What `work` puts there."""
    say(what)
    client.execute_command("FLUSHALL", "SYNC")
    empty = fill.used_memory(client)
    sizes = work(client, *arguments)
    return Kept(
        what, len(sizes), sum(sizes) / len(sizes), fill.used_memory(client) - empty,
        fill.predicted(sizes),
    )  # fmt: skip


def _at_once(client: redis.Redis, part: float) -> str:
    """All of it together, in the size of the defaults, and a copy of it on disk."""
    client.execute_command("FLUSHALL", "SYNC")
    frames = fill.frame_messages(1280, _PICTURES)
    fill.bury(client, _KEYS, frames, round(LETTERS * part))
    fill.add(client, _KEYS.frames, frames, round(BACKLOG * part))
    fill.add(client, _KEYS.events, fill.event_messages(2, 200), round(EVENTS * part))
    fill.add(client, _KEYS.smoothed, fill.smoothed_messages(2, 200), round(EVENTS * part))
    used = fill.used_memory(client)
    began_s = time.monotonic()
    client.bgsave()
    info: Any = {"rdb_bgsave_in_progress": 1}
    while info["rdb_bgsave_in_progress"]:
        time.sleep(0.02)
        info = client.info("persistence")
    seconds = time.monotonic() - began_s
    stats: Any = client.info("stats")
    size = Path(client.config_get("dir")["dir"], "dump.rdb").stat().st_size  # type: ignore[index]
    return (
        f"all at once, 1280 pixels, 2 faces: {used / 1e6:.0f} MB, {used / MAXMEMORY:.0%} of 1gb "
        f"(alert at {_ALERT:.0%})\n"
        f"its copy on disk (BGSAVE): {size / 1e6:.0f} MB in {seconds:.1f} s, fork "
        f"{stats['latest_fork_usec'] / 1e3:.1f} ms"
    )


def _modes(program: Program, folder: Path, frames: int) -> list[Persistence]:
    found = []
    for name, options in MODES.items():
        say(f"persistence: {name}")
        with TroubledServer(program, folder, *options) as server:
            found.append(measure_mode(server.client, name, frames))
        shutil.rmtree(folder / "appendonlydir", ignore_errors=True)
    return found


def _version(client: redis.Redis) -> str:
    server: Any = client.info("server")
    memory: Any = client.info("memory")
    name = "Valkey" if "valkey_version" in server else "Redis"
    version = server.get("valkey_version", server["redis_version"])
    return f"{name} {version}, {memory['mem_allocator']}"


def table(kept: Sequence[Kept], server: str) -> Table:
    """Measured beside computed."""
    made = Table("at its limit", title=f"memory, {server}", title_justify="left")
    for column in ("entries", "bytes each", "MB", "formula", "off"):
        made.add_column(column, justify="right")
    for one in kept:
        made.add_row(
            one.what, f"{one.entries:,}", f"{one.each:,.0f}", f"{one.measured / 1e6:.1f}",
            f"{one.formula / 1e6:.1f}", f"{one.measured / one.formula - 1:+.1%}",
        )  # fmt: skip
    return made


def persistence_table(found: Sequence[Persistence]) -> Table:
    """One row a way."""
    made = Table("on disk", title="a frame of 1280 pixels, published and settled",
                 title_justify="left")  # fmt: skip
    for column in ("Redis' CPU-ms", "kB written", "publish p50 / p99, ms", "settle p50 / p99, ms"):
        made.add_column(column, justify="right")
    for one in found:
        made.add_row(
            one.mode, f"{one.server_ms:.2f}", f"{one.disk_bytes / 1e3:.1f}",
            *(f"{1e3 * some.p50_s:.1f} / {1e3 * some.p99_s:.1f}"
              for some in (one.publish, one.settle)),
        )  # fmt: skip
    return made


if __name__ == "__main__":
    sys.exit(main())
