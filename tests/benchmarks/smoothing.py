"""Prints how often labels change with and without smoothing, and how much later.

    emotion-up CLIP --no-realtime --events FOLDER/CLIP.jsonl        (for each clip)
    python -m tests.benchmarks.smoothing FOLDER [--smoothing 0.4] [--dwell 1]

Changes a minute are those of people (after tracking and the gate), per minute of being there; raw
is the most probable label of each frame. The delay of a change is counted from where the raw label
became what it then was for at least `--dwell` seconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from consumer.chain import Chain, ChainOptions
from consumer.people.smooth import Smoother, SmoothOptions
from consumer.people.tracked import TrackedEvent, TrackedFace
from contract.event import Box, EmotionEvent, FaceEmotion
from contract.smoothed import SmoothedEvent
from tests.event_files import read_events

COLUMNS = "{:<44} {:>7} {:>8} {:>8} {:>9} {:>10}"


@dataclass
class Course:
    """One person's labels over media time."""

    times_s: list[float] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def changes(self) -> list[tuple[float, str]]:
        return [
            (at_s, label)
            for at_s, label, before in zip(
                self.times_s[1:], self.labels[1:], self.labels, strict=False
            )
            if label != before
        ]

    def lasting_since_s(self, label: str, until_s: float, least_s: float) -> float | None:
        """Where the run of `label` began that is on at `until_s` and lasts for `least_s`."""
        runs = self.runs()
        for began_s, ended_s, name in reversed(runs):
            if name == label and began_s <= until_s and ended_s - began_s >= least_s:
                return began_s
        return None

    def runs(self) -> list[tuple[float, float, str]]:
        found: list[tuple[float, float, str]] = []
        for at_s, label in zip(self.times_s, self.labels, strict=True):
            if found and found[-1][2] == label:
                found[-1] = (found[-1][0], at_s, label)
            else:
                found.append((at_s, at_s, label))
        return found


def courses(events: Sequence[EmotionEvent], options: SmoothOptions) -> dict[int, Course]:
    """What each person's label was, whenever they were seen."""
    chain = Chain(ChainOptions(smooth=options))
    found: dict[int, Course] = {}
    signals = [s for n, event in enumerate(events) for s in chain.put(event, n / 1000)]
    for signal in [*signals, *chain.flush(len(events) / 1000)]:
        if not isinstance(signal, SmoothedEvent):
            continue
        for person in signal.people:
            if person.seen:
                course = found.setdefault(person.track, Course())
                course.times_s.append((signal.pts_ns or 0) / 1e9)
                course.labels.append(person.label)
    return found


def step_delay_s(options: SmoothOptions, fps: float, after: float) -> float:
    """From a change that is there at once and for good to the new label, in seconds.

    after   the probability of the new emotion then; before it was that of the old one
    """
    smoother = Smoother(options)
    before = {"neutral": after, "happiness": 1 - after}
    changed = {"neutral": 1 - after, "happiness": after}
    start = round(5 * fps)
    for n in range(round(15 * fps)):
        scores = changed if n >= start else before
        label = max(scores, key=scores.__getitem__)
        at_ns = round(n / fps * 1e9)
        event = EmotionEvent("a", "s", n, at_ns, at_ns, at_ns, 640, 480, "m", ())
        face = FaceEmotion(Box(0, 0, 9, 9), 0.9, label, scores, 0.0, 0.0)
        person = TrackedFace(1, 1, face.box, face)
        steady = smoother.see(TrackedEvent(event, (person,), ()))[-1]
        assert isinstance(steady, SmoothedEvent)
        if n >= start and steady.people[0].label == "happiness":
            return (n - start) / fps
    return float("inf")


def lines(files: Sequence[Path], options: SmoothOptions) -> Iterator[str]:
    raw_options = SmoothOptions(0.0, 0.0, 0.0)
    yield COLUMNS.format("clip", "s", "people", "raw/min", "smooth/min", "delay, s")
    total = [0.0, 0, 0]
    for path in files:
        events = sorted(read_events(path), key=lambda event: event.seq)
        raw, steady = courses(events, raw_options), courses(events, options)
        seconds = sum(c.times_s[-1] - c.times_s[0] for c in raw.values())
        raw_changes = sum(len(c.changes()) for c in raw.values())
        changes = [
            (track, at_s, label) for track, c in steady.items() for at_s, label in c.changes()
        ]
        delays = [
            at_s - since_s
            for track, at_s, label in changes
            if (since_s := raw[track].lasting_since_s(label, at_s, options.dwell_s)) is not None
        ]
        minutes = max(seconds, 1e-9) / 60
        yield COLUMNS.format(
            path.name.partition(".jsonl")[0],
            f"{seconds:.1f}",
            len(raw),
            f"{raw_changes / minutes:.0f}",
            f"{len(changes) / minutes:.0f}",
            ", ".join(f"{delay:.2f}" for delay in delays) or "-",
        )
        total = [total[0] + seconds, total[1] + raw_changes, total[2] + len(changes)]
    minutes = max(total[0], 1e-9) / 60
    yield COLUMNS.format(
        "all", f"{total[0]:.1f}", "", f"{total[1] / minutes:.0f}", f"{total[2] / minutes:.0f}", ""
    )
    for after in (0.95, 0.7):
        found = ", ".join(
            f"{fps} frames/s {step_delay_s(options, fps, after):.2f} s" for fps in (5, 10, 30)
        )
        yield f"a change to {after:.0%} at once takes over after: {found}"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("paths", nargs="+", type=Path, help="event files, or folders of them")
    parser.add_argument("--smoothing", type=float, default=SmoothOptions().smoothing_s)
    parser.add_argument("--dwell", type=float, default=SmoothOptions().dwell_s)
    arguments = parser.parse_args()
    files = [
        file
        for path in arguments.paths
        for file in (sorted(path.glob("*.jsonl*")) if path.is_dir() else [path])
    ]
    for line in lines(files, SmoothOptions(arguments.smoothing, arguments.dwell)):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
