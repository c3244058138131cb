"""Prints frames/s of `emotion-up --no-realtime` beside the naive loop, in the same run.

    make bench                       three rounds on the shipped clip and two of the shared ones
    make bench BENCH="--rounds 5 --frames 600 CLIP..."

The two take turns, so that a machine that slows down slows both; medians and the ratio round by
round are what to quote. Pipeline: first capture to last event, by the events themselves; producer,
server and worker share the machine. Refuses to compare when the two saw very different numbers of
faces: they would not have done the same work.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.footage import repeated

REPOSITORY = Path(__file__).parents[2]
SHIPPED = REPOSITORY / "deploy" / "demo" / "people.mp4"
SHARED = REPOSITORY.parent / "shared" / "videos"


@dataclass(frozen=True)
class Run:
    """One pass over a clip."""

    frames: int
    faces: int
    seconds: float

    @property
    def frames_per_s(self) -> float:
        return self.frames / self.seconds

    @property
    def faces_per_frame(self) -> float:
        return self.faces / self.frames


def run_naive(clip: Path) -> Run:
    output = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.naive", str(clip)],
        check=True, capture_output=True, text=True, cwd=REPOSITORY,
    ).stdout  # fmt: skip
    return Run(**json.loads(output.splitlines()[-1]))


def run_pipeline(clip: Path, flags: list[str]) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.jsonl"
        subprocess.run(
            [sys.executable, "-m", "deploy.local", str(clip), "--no-realtime", "--quiet",
             "--events", str(file), *flags],
            check=True, capture_output=True, text=True, cwd=REPOSITORY,
        )  # fmt: skip
        events = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    events = [event for event in events if event["kind"] == "frame"]
    begin_ns = min(event["captured_at_ns"] for event in events)
    end_ns = max(event["published_at_ns"] for event in events)
    faces = sum(len(event["faces"]) for event in events)
    return Run(len(events), faces, (end_ns - begin_ns) / 1e9)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (default: 3)")
    parser.add_argument("--frames", type=int, default=250, help="repeat clips to this length")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "bench-results")
    options, flags = parser.parse_known_args()
    clips = options.clips or [
        SHIPPED,
        *(clip for name in ("book.mkv", "night.mkv") if (clip := SHARED / name).is_file()),
    ]

    console = Console()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    console.print(
        f"{platform.platform()}, {cores} cores, {options.rounds} rounds; "
        "frames a second: median (least-most)"
    )
    table = Table("clip", "frames", "faces each", "naive", "emotion-up", "ratio")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for clip in clips:
            long_clip = repeated(clip, Path(folder), options.frames)
            naive, ours = [], []
            for round_number in range(1, options.rounds + 1):
                with console.status(f"{clip.name}: round {round_number} of {options.rounds}"):
                    naive.append(run_naive(long_clip))
                    ours.append(run_pipeline(long_clip, flags))
            if abs(naive[0].faces_per_frame - ours[0].faces_per_frame) > 0.1:
                console.print(
                    f"{clip.name}: not comparable: {naive[0].faces_per_frame:.2f} faces a frame in "
                    f"the naive loop, {ours[0].faces_per_frame:.2f} in the pipeline"
                )
                return 1
            pairs = zip(naive, ours, strict=True)
            ratios = [mine.frames_per_s / other.frames_per_s for other, mine in pairs]
            table.add_row(
                clip.name,
                str(ours[0].frames),
                f"{ours[0].faces_per_frame:.2f}",
                _spread([run.frames_per_s for run in naive], "{:.1f}"),
                _spread([run.frames_per_s for run in ours], "{:.1f}"),
                _spread(ratios, "{:.1f}"),
            )
            results.append(
                {
                    "clip": clip.name,
                    "frames": ours[0].frames,
                    "faces_per_frame": ours[0].faces_per_frame,
                    "naive_frames_per_s": [run.frames_per_s for run in naive],
                    "pipeline_frames_per_s": [run.frames_per_s for run in ours],
                    "ratio": ratios,
                }
            )
    console.print(table)
    options.out.mkdir(exist_ok=True)
    file = options.out / "pipeline.json"
    file.write_text(json.dumps({"platform": platform.platform(), "cores": cores, "clips": results},
                               indent=2) + "\n")  # fmt: skip
    console.print(f"written to {file}")
    return 0


def _spread(values: list[float], form: str) -> str:
    low, high = form.format(min(values)), form.format(max(values))
    return f"{form.format(statistics.median(values))} ({low}-{high})"


if __name__ == "__main__":
    sys.exit(main())
