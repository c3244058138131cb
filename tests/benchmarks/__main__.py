"""How fast the product is, beside what it could be and beside the loop most people write.

    make bench                                all of it, about twelve minutes on two cores
    make bench BENCH="--only latency"         one section: throughput, latency, workers, sizing
    make bench BENCH="--rounds 5 CLIP..."     other footage: 640 wide, one face, says most
    make bench BENCH="--engines keras,openvino-int8"

throughput  On the same footage, taking turns, so that a machine that slows down slows everybody:
            naive loop   cvlib.detect_face a frame, model.predict a face
            fer          PyPI's package, if it is installed
            ceiling      the product's own video decoding, JPEG encoding and decoding and
                         networks, batched, with no server and no messages, cut in the way that
                         is fastest here
            pipeline     emotion-up --no-realtime: producer, server, worker, reader on these
                         cores, from the first frame's capture to the last event
            "efficiency" is pipeline by ceiling: what server, messages and waiting cost.
latency     Capture to event in real time, one worker: 1, 4, 16 cameras of 5, 10, 30 frames/s. A
            cell that says "overloaded" delivered less than was sent; the oldest were dropped.
workers     The pipeline with 1, 2, 4 workers on the same cores, and 1, 2 partitions.
sizing      What a frame costs each role, what cameras of 640, 1280 and 1920 pixels take by that,
            and one case of it tried.

Quote medians and ratios of one run on an idle machine; frames/s of two machines, or of two days,
say little. Nothing is compared that saw other numbers of faces per frame or ran on another engine.
CPU s/1000: seconds of all cores for 1,000 frames, which other work on the machine disturbs least.
MiB: most that was resident, shared pages counted in each process.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.benchmarks import latency, machine, throughput, workers
from tests.benchmarks.ceilings import find_ceilings
from tests.benchmarks.chart import draw
from tests.benchmarks.footage import SHIPPED, repeated
from tests.benchmarks.progress import say
from tests.benchmarks.run import NotComparable
from tests.benchmarks.sizing.check import check, check_table
from tests.benchmarks.sizing.costs import measure
from tests.benchmarks.sizing.plan import cost_table, need_table
from tests.benchmarks.usage import REPOSITORY, CommandFailed
from tests.benchmarks.variant import CANDIDATES, Variant

FORMAT = 1
SECTIONS = ("throughput", "latency", "workers", "sizing")
DRAWN = ("throughput", "latency", "workers")
_TRIAL_FRAMES = 250  # of each cut of the ceiling


def parser() -> argparse.ArgumentParser:
    """The flags."""
    made = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "clips", nargs="*", type=Path, metavar="CLIP", help="default: the shipped clip"
    )
    made.add_argument(
        "--only", action="append", choices=SECTIONS, help="a section; more than once for more"
    )
    made.add_argument("--rounds", type=int, default=3, help="runs of each (default: 3)")
    made.add_argument(
        "--frames", type=int, default=1000, help="least length of a fast run (default: 1000)"
    )
    made.add_argument(
        "--slow-frames", type=int, default=250, help="the same for the loops (default: 250)"
    )
    made.add_argument(
        "--seconds", type=float, default=8.0, help="of a latency cell, at least (default: 8)"
    )
    made.add_argument(
        "--engines",
        type=lambda text: text.split(","),
        default=list(CANDIDATES),
        help=f"of throughput, with commas (default: what runs here of {', '.join(CANDIDATES)})",
    )
    made.add_argument(
        "--engine",
        type=Variant.parse,
        default=Variant(),
        help="for latency, workers and sizing, e.g. keras, openvino-int8 (default: auto)",
    )
    made.add_argument("--out", type=Path, default=REPOSITORY / "bench-results", metavar="FOLDER")
    return made


def main() -> int:
    options = parser().parse_args()
    clips: list[Path] = options.clips or [SHIPPED]
    sections = options.only or list(SECTIONS)
    console = Console(width=None if sys.stdout.isatty() else 130)
    results: dict[str, Any] = {
        "format": FORMAT,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "engine": options.engine.name,
    }
    console.print(machine.headline(results["machine"]))
    if busy := machine.busy(results["machine"]):
        say(busy)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for section in sections:
                results[section] = _SECTIONS[section](options, clips, Path(folder), console)
    except (NotComparable, CommandFailed) as error:
        print(f"not comparable: {error}" if isinstance(error, NotComparable) else error,
              file=sys.stderr)  # fmt: skip
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    file, picture = options.out / "bench.json", options.out / "bench.png"
    file.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    if drawn := set(sections) & set(DRAWN):
        draw({name: results[name] for name in ("machine", *drawn)}, picture)
    console.print(f"written to {file}{f' and {picture}' if drawn else ''}")
    return 0


def _throughput(
    options: argparse.Namespace, clips: list[Path], folder: Path, console: Console
) -> dict[str, Any]:
    trial = repeated(clips[0], folder, _TRIAL_FRAMES)
    ceilings, left_out = find_ceilings(options.engines, trial)
    told = []
    for clip in clips:
        rows = throughput.measure(
            clip, folder, ceilings,
            rounds=options.rounds, frames=options.frames, slow=options.slow_frames,
        )  # fmt: skip
        console.print(throughput.table(clip, rows))
        told.append(throughput.as_json(clip, rows))
    for name, why in left_out.items():
        console.print(f"{name}: left out: {why}", markup=False)
    return {"clips": told, "left_out": left_out}


def _latency(
    options: argparse.Namespace, clips: list[Path], folder: Path, console: Console
) -> list[dict[str, Any]]:
    cells = latency.measure(clips[0], folder, options.engine, seconds=options.seconds)
    console.print(latency.table(cells))
    return [cell.as_json() for cell in cells]


def _workers(
    options: argparse.Namespace, clips: list[Path], folder: Path, console: Console
) -> list[dict[str, Any]]:
    runs = workers.measure(
        clips[0], folder, options.engine, rounds=options.rounds, frames=options.frames
    )
    console.print(workers.table(runs))
    return workers.as_json(runs)


def _sizing(
    options: argparse.Namespace, clips: list[Path], folder: Path, console: Console
) -> dict[str, Any]:
    costs = measure(clips[0], folder, options.engine, seconds=options.seconds)
    console.print(cost_table(costs))
    console.print(need_table(costs))
    tried = check(folder, options.engine, costs, seconds=options.seconds)
    console.print(check_table(tried))
    return {"costs": [asdict(cost) for cost in costs], "check": asdict(tried)}


_SECTIONS = {
    "throughput": _throughput,
    "latency": _latency,
    "workers": _workers,
    "sizing": _sizing,
}


if __name__ == "__main__":
    say("began")
    sys.exit(main())
