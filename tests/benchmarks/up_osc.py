"""How late and how even `emotion-up --osc` is, from the capture of a frame to a socket.

    python -m tests.benchmarks.up_osc                    the shipped clip at 10 frames/s, twice
    python -m tests.benchmarks.up_osc --rate 0           each frame as it comes

With a rate two lines: "of the moment" is from the moment a bundle speaks of (its time tag) to its
arrival; "of the frame" is from each capture to the first bundle it has any part in, which is
what a musician feels. "off" is how far the time between two bundles is from a tick's. The first
two seconds don't count: the delay is not known yet.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from pythonosc.osc_bundle import OscBundle
from rich.console import Console
from rich.table import Table

from consumer.percentiles import Percentiles
from tests.benchmarks.osc import StampedSocket

REPOSITORY = Path(__file__).parents[2]
CLIP = REPOSITORY / "deploy" / "demo" / "people.mp4"
_SETTLE_S = 2.0

Bundle = tuple[float, float]  # arrival and time tag, both seconds since the epoch


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.up_osc",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--clip", type=Path, default=CLIP)
    parser.add_argument("--fps", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=10.0, help="Hz")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    rounds = [play(options.clip, options.fps, options.rate) for _ in range(options.rounds)]
    report(rounds, options.rate)
    return 0


def play(clip: Path, fps: float, rate: float) -> tuple[list[Bundle], list[float]]:
    """One run: the bundles that came, and when each frame was captured."""
    receiver = StampedSocket(timeout_s=0.2)
    bundles: list[Bundle] = []
    done = threading.Event()

    def receive() -> None:
        while not done.is_set():
            try:
                datagram, came_s = receiver.take()
            except TimeoutError:
                continue
            bundle = OscBundle(datagram)
            if any(str(part.address).endswith("/people") for part in bundle):
                bundles.append((came_s, bundle.timestamp))

    thread = threading.Thread(target=receive)
    thread.start()
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.jsonl"
        subprocess.run(
            [
                sys.executable, "-m", "deploy.local", str(clip), "--quiet", "--fps", str(fps),
                "--events", str(events), "--osc", f"127.0.0.1:{receiver.port}", "--rate", str(rate),
            ],
            check=True, cwd=REPOSITORY, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        captured = [json.loads(line)["captured_at_ns"] / 1e9 for line in events.open("rb")]
    time.sleep(0.5)
    done.set()
    thread.join()
    receiver.close()
    return bundles, sorted(captured)


def report(rounds: Sequence[tuple[list[Bundle], list[float]]], rate: float) -> None:
    of_moment: list[float] = []
    of_frame: list[float] = []
    off: list[float] = []
    for bundles, captured in rounds:
        settled_s = captured[0] + _SETTLE_S
        last_s = captured[-1]
        kept = [(came_s, tag_s) for came_s, tag_s in bundles if settled_s <= tag_s <= last_s]
        of_moment += [came_s - tag_s for came_s, tag_s in kept]
        for before_s, at_s in itertools.pairwise(captured):
            # What is between two frames is made of both, so a frame is first heard just after
            # the one before it.
            if before_s >= settled_s:
                reached = [came_s for came_s, tag_s in kept if tag_s > before_s or tag_s == at_s]
                of_frame += [min(reached) - at_s] if reached else []
        if rate:
            off += [abs(b - a - 1 / rate) for (a, _), (b, _) in itertools.pairwise(kept)]
    table = Table(title=f"emotion-up --osc, rate {rate:g}, ms")
    for heading in ("", "p50", "p95", "p99", "n"):
        table.add_column(heading, justify="right" if heading else "left")
    lines = [("latency of the moment", of_moment), ("latency of the frame", of_frame)]
    for name, values in [*(lines if rate else lines[:1]), *([("off", off)] if rate else [])]:
        found = Percentiles.of(values)
        if found is not None:
            seconds = (found.p50_s, found.p95_s, found.p99_s)
            table.add_row(name, *(f"{1000 * s:.1f}" for s in seconds), str(len(values)))
    Console(width=100).print(table)


if __name__ == "__main__":
    sys.exit(main())
