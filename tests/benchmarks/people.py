"""Prints whom the tracker and its gate make of the faces of recorded clips.

    python -m tests.benchmarks.people [FOLDER] [--fps 5]

FOLDER holds event files, ``NAME.jsonl`` or ``NAME.jsonl.gz`` (default: tests/data/events); who is
in a clip is known for those in `tests.cast`.
Columns: people the tracker saw; those there are to find, and of them found; how often one got
another track; people made of what is nobody's face; milliseconds of media time from somebody's
first face until being a person, the longest; microseconds an event; rejected faces by reason.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from consumer.people.tracks import Tracker
from tests import cast

ROW = "{:<42} {:>6} {:>5} {:>5} {:>8} {:>5} {:>8} {:>8}  {}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=cast.EVENTS)
    parser.add_argument("--fps", type=float, default=1000.0, help="keep at most so many a second")
    args = parser.parse_args()
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


if __name__ == "__main__":
    sys.exit(main())
