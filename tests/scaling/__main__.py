"""Real workers, started and stopped as KEDA and Kubernetes would, while cameras come and go.

    make scale                          1 -> 20 -> 0 cameras with each setting, 15 minutes in all
    make scale SCALE="--out FOLDER"

The frames' pace, the workers and the server are real; a device paced at 20 ms for up to 4 frames
stands in for a GPU. KEDA's and the HPA's clock runs 15 times as fast, so 300 s of stabilisation
take 20, and the second that a worker needs to start counts as 15. Writes scaling.png and
scaling.json; exit code 1 if a frame was lost or doubled, a worker did not drain, or the chosen
setting flapped. "Left out" are frames that the cameras' process was too late for: the machine was
too busy then for the other figures to mean much.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.progress import say
from tests.chaos.process import REPOSITORY
from tests.scaling.chart import draw
from tests.scaling.settings import CHOSEN, OTHERS, QUIET
from tests.scaling.simulation import Load, Stuck
from tests.scaling.story import QUIET_FPS, QUIET_S, STEPS, Played, play_day, play_quiet

_LATE_S = 300.0  # of KEDA's clock: figures of the steady state begin so long after the step


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make scale", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--factor", type=float, default=15.0, help="KEDA's clock (default: 15)")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "bench-results")
    options = parser.parse_args()
    factor, load = options.factor, Load()
    try:
        days = []
        for setting in (CHOSEN, *OTHERS):
            say(f"streamLength {setting.name}")
            days.append(play_day(setting, load, factor, say, whole=setting is CHOSEN))
        quiet = []
        for setting in QUIET:
            say(f"one slow camera, {setting.name}")
            quiet.append(play_quiet(setting, load, factor, say))
    except Stuck as stuck:
        print(f"stuck: {stuck}", file=sys.stderr)
        return 1
    faults = [fault for played in (*days, *quiet) for fault in played.faults]
    faults += _flaps(days[0])
    rows = [_row(day, factor) for day in days]
    options.out.mkdir(parents=True, exist_ok=True)
    draw(days, factor, options.out / "scaling.png")
    console = Console(width=180)
    console.print(_table(rows))
    for line in map(_quiet_line, quiet):
        console.print(line)
    figures = {
        "factor": factor,
        "days": rows,
        "quiet": [_quiet_line(one) for one in quiet],
        "faults": faults,
    }
    (options.out / "scaling.json").write_text(json.dumps(figures, indent=2) + "\n")
    console.print(f"written to {options.out}")
    for fault in faults:
        console.print(f"[bold red]broken:[/] {fault}", soft_wrap=True, highlight=False)
    return 1 if faults else 0


def _flaps(day: Played) -> list[str]:
    """Each step may bring one rise and one fall."""
    steps = [(name, day.timeline.of(name)) for name, _ in day.timeline.phases]
    return [
        f"{day.setting.name}: {name}: {step.rises} rises, {step.falls} falls"
        for name, step in steps
        if step.rises > 1 or step.falls > 1
    ]


def _quiet_line(played: Played) -> str:
    longest_s = max(x for look in played.timeline.looks for x in look.latencies_s)
    return (
        f"one camera, {QUIET_FPS:g} frames/s, {played.setting.name}: left without a worker in "
        f"{QUIET_S / 60:g} min: {played.sleeps}, longest capture to event {longest_s:.1f} s"
    )


def _row(day: Played, factor: float) -> dict[str, Any]:
    step = day.timeline.of(STEPS[1])
    minutes = (step.end_s - step.begin_s) * factor / 60
    gone = day.timeline.of(STEPS[2])
    asleep_s = next((c.at_s for c in gone.changes if c.after == 0), None)
    return {
        "setting": day.setting.name,
        "spec": asdict(day.setting.spec),
        "frames": day.sent,
        "left_out": day.left_out,
        "events": day.end.events,
        "dead": day.end.dead,
        "dropped": day.end.dropped,
        "most_backlog": step.most_backlog,
        "steady_after_s": step.steady_after_s,
        "changes_per_min": len(step.changes) / minutes,
        "rises": step.rises,
        "falls": step.falls,
        "most_workers": step.most_replicas,
        "mean_workers": step.mean_replicas,
        "p95_s": step.latency_s(95),
        "p95_late_s": step.latency_s(95, _LATE_S / factor),
        "p99_late_s": step.latency_s(99, _LATE_S / factor),
        "asleep_after_keda_s": None if asleep_s is None else (asleep_s - gone.begin_s) * factor,
        "changes": [asdict(change) for change in day.timeline.changes],
    }


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(
        "streamLength", "rises", "falls", "changes/min", "workers: most", "mean", "backlog: most",
        "worked off after", "p95, all", "p95, later", "p99, later", "frames", "lost", "left out",
        box=None, pad_edge=False,
    )  # fmt: skip
    for row in rows:
        lost = row["frames"] - row["events"] - row["dead"] - sum(row["dropped"].values())
        off_s = row["steady_after_s"]
        table.add_row(
            row["setting"],
            str(row["rises"]),
            str(row["falls"]),
            f"{row['changes_per_min']:.2f}",
            str(row["most_workers"]),
            f"{row['mean_workers']:.1f}",
            str(row["most_backlog"]),
            "never" if off_s is None else f"{off_s:.1f} s",
            *(f"{1e3 * row[name]:.0f} ms" for name in ("p95_s", "p95_late_s", "p99_late_s")),
            f"{row['frames']:,}",
            str(lost),
            str(row["left_out"]),
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
