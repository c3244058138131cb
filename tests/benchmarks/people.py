"""Prints whom the tracker and its gate make of the faces of recorded clips.

    python -m tests.benchmarks.people [FOLDER] [--fps 5]
    python -m tests.benchmarks.people --crossings 50

FOLDER holds event files, ``NAME.jsonl`` or ``NAME.jsonl.gz`` (default: tests/data/events); who is
in a clip is known for those in `tests.cast`.
Columns: people the tracker saw; those there are to find, and of them found; how often one got
another track; people made of what is nobody's face; milliseconds of media time from somebody's
first face until being a person, the longest; microseconds an event; rejected faces by reason.

--crossings: two made-up people cross, the one behind hidden for 0.2 to 0.6 s, at 0.5 to 3 heights
of a face a second each, N times for each speed and time. "for good": they came out exchanged;
"a while": exchanged for some frames.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path

from consumer.people.tracks import Tracker
from tests import cast
from tests.scenes import crossing, film, tracks_of

ROW = "{:<42} {:>6} {:>5} {:>5} {:>8} {:>5} {:>8} {:>8}  {}"

CROSSINGS = "{:>5} {:>7} {:>10} {:>9} {:>8}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=cast.EVENTS)
    parser.add_argument("--fps", type=float, default=1000.0, help="keep at most so many a second")
    parser.add_argument("--crossings", type=int, metavar="N", help="synthetic crossings instead")
    args = parser.parse_args()
    if args.crossings:
        print_crossings(args.crossings)
        return 0
    names = sorted({path.name.split(".jsonl")[0] for path in args.folder.glob("*.jsonl*")})
    if not names:
        print(f"people: expected event files *.jsonl or *.jsonl.gz in {args.folder}")
        return 2
    print(
        ROW.format(
            "clip", "tracks", "true", "found", "switches", "false", "delay ms", "us/event",
            "rejected",
        )
    )  # fmt: skip
    for name in names:
        events = cast.at_rate(cast.read(name, args.folder), args.fps)
        clip = cast.CLIPS.get(name)
        tracker = Tracker()
        begun_s = time.perf_counter()
        seen = [tracker.see(event) for event in events]
        cost_us = (time.perf_counter() - begun_s) / max(1, len(events)) * 1e6
        result = cast.judge(seen, cast.one if clip is None else clip.who)
        reasons = ", ".join(f"{reason} {count}" for reason, count in result.rejected.most_common())
        known = ["?"] * 4
        if clip is not None:
            known = [str(n) for n in (clip.people, result.found, result.switches, result.false)]
        delay = f"{max(result.delays_ms):.0f}" if clip and result.delays_ms else "?"
        print(ROW.format(name, result.tracks, *known, delay, f"{cost_us:.1f}", reasons))
    return 0


def print_crossings(count: int) -> None:
    print(CROSSINGS.format("fps", "missed", "crossings", "for good", "a while"))
    for missed in (0.0, 0.1, 0.2):
        for fps in (5.0, 10.0, 15.0, 30.0):
            total = for_good = a_while = 0
            for seed, speed, hidden_s in itertools.product(
                range(count), (0.5, 1.0, 2.0, 3.0), (0.2, 0.4, 0.6)
            ):
                actors, seconds = crossing(seed, speed, hidden_s)
                events = film(actors, fps=fps, seconds=seconds, seed=seed, missed=missed)
                tracker = Tracker()
                tracks = tracks_of(tracker.see(event) for event in events).values()
                total += 1
                if any(numbers[0] != numbers[-1] for numbers in tracks):
                    for_good += 1
                elif any(len(set(numbers)) > 1 for numbers in tracks):
                    a_while += 1
            print(CROSSINGS.format(f"{fps:g}", f"{missed:.0%}", total, for_good, a_while))


if __name__ == "__main__":
    sys.exit(main())
