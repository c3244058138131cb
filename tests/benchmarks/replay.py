"""How exactly a recorded session is played, and how fast one is written and read.

    python -m tests.benchmarks.replay                     10 s at each of three speeds
    python -m tests.benchmarks.replay --seconds 60 --events seen.jsonl

Lateness is when a record is handed out, less when it is due (recorded time by speed): the operating
system's wake-up, and whatever else runs on the machine. Played are three sources of 30 frames/s
that come in bursts, as from workers. "(sleep)" is a program that only waits for the next thirtieth
of a second: nothing can be more exact on this machine just now.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from consumer.session import SessionReader, SessionWriter, replay
from contract.event import Box, EmotionEvent, FaceEmotion, record_from_dict
from tests.benchmarks import machine
from tests.benchmarks.progress import say

_LABELS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
_FPS, _SOURCES = 30, 3


def templates(path: Path | None) -> list[EmotionEvent]:
    """Events of `path` (as `emotion-up --events` writes them), or some with a face each."""
    if path is not None:
        records = [record_from_dict(json.loads(line)) for line in path.open(encoding="utf-8")]
        return [record for record in records if isinstance(record, EmotionEvent)]
    rng = np.random.default_rng(6)

    def face(left: int) -> FaceEmotion:
        scores = rng.dirichlet(np.ones(len(_LABELS))).tolist()
        valence, arousal, detection = rng.random(3).tolist()
        named = dict(zip(_LABELS, scores, strict=True))
        box = Box(left, 20, left + 100, 150)
        return FaceEmotion(
            box, detection, max(named, key=named.__getitem__), named, valence, arousal
        )

    return [
        EmotionEvent("a", "s", 0, 0, 0, 0, 640, 480, "ferplus-resnet50@c06e2a0408dd", (face(left),))
        for left in range(500)
    ]


def events(count: int, like: list[EmotionEvent]) -> Iterator[tuple[int, EmotionEvent]]:
    """`count` of them with the nanoseconds at which they come, uneven but never going back."""
    uneven = random.Random(6)
    last_ns = 0
    for number in range(count):
        seq, source = divmod(number, _SOURCES)
        captured_ns = seq * 1_000_000_000 // _FPS
        # From a worker that takes two frames at a time, and is late now and then.
        last_ns = max(last_ns, captured_ns + round(uneven.choice((20, 53, 55, 90)) * 1e6))
        event = like[seq % len(like)]
        now_ns = 1_700_000_000_000_000_000 + captured_ns
        yield (
            last_ns,
            replace(
                event, source=f"camera-{source}", seq=seq, captured_at_ns=now_ns,
                published_at_ns=now_ns + 21_000_000,
            ),
        )  # fmt: skip


def write(path: Path, timed: list[tuple[int, EmotionEvent]]) -> float:
    """Seconds it took."""
    began_s = time.perf_counter()
    with SessionWriter(path, started_at_ns=time.time_ns()) as session:
        for at_ns, event in timed:
            session.write(event, at_ns)
        session.finish(timed[-1][0])
    return time.perf_counter() - began_s


def lateness_ms(path: Path, speed: float, seconds: float) -> np.ndarray:
    """Of every record that is due within the first `seconds` of playing."""
    session = SessionReader(path)
    due_s = [at_s / speed for at_s, _ in session]
    within = list(itertools.takewhile(lambda at_s: at_s < seconds, due_s))
    late = []
    began_s = time.monotonic()
    for at_s, _ in zip(within, replay(session, stop=threading.Event(), speed=speed), strict=False):
        late.append(time.monotonic() - began_s - at_s)
    return np.array(late) * 1000


def sleep_lateness_ms(seconds: float) -> np.ndarray:
    """Of a program that does nothing but wait: what the machine allows just now."""
    late = []
    began_s = time.monotonic()
    for number in range(1, round(seconds * _FPS)):
        due_s = began_s + number / _FPS
        time.sleep(max(0.0, due_s - time.monotonic()))
        late.append(time.monotonic() - due_s)
    return np.array(late) * 1000


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="to play at each speed")
    parser.add_argument("--count", type=int, default=100_000, help="events to write and to read")
    parser.add_argument("--events", type=Path, help="a file of events to make the session of")
    chosen = parser.parse_args()
    described = machine.describe()
    console = Console()
    console.print(machine.headline(described), f"load {described['load_at_start']}")
    like = templates(chosen.events)
    timed = list(events(chosen.count, like))
    with tempfile.TemporaryDirectory() as folder:
        sizes = Table("file", "events", "bytes an event", "written, events/s", "read, events/s")
        for name in ("a.jsonl", "a.jsonl.gz"):
            path = Path(folder, name)
            wrote_s = write(path, timed)
            began_s = time.perf_counter()
            count = sum(1 for _ in SessionReader(path))
            read_s = time.perf_counter() - began_s
            sizes.add_row(
                name, f"{count:,}", f"{path.stat().st_size / count:.0f}",
                f"{count / wrote_s:,.0f}", f"{count / read_s:,.0f}",
            )  # fmt: skip
        console.print(sizes)
        del timed  # or the garbage collector would look through it while the session plays
        pace = Table("speed", "records", "late p50", "p99", "most", "below 5 ms")
        rows = [(f"{speed:g}", speed) for speed in (1.0, 2.0, 10.0)]
        for name, speed in [("(sleep)", 0.0), *rows]:
            say(f"{chosen.seconds:g} s at speed {name} ...")
            if speed:
                late = lateness_ms(path, speed, chosen.seconds)
            else:
                late = sleep_lateness_ms(chosen.seconds)
            p50, p99 = np.percentile(late, (50, 99))
            pace.add_row(
                name, f"{len(late):,}", f"{p50:.2f} ms", f"{p99:.2f} ms", f"{late.max():.2f} ms",
                f"{np.mean(late < 5) * 100:.2f} %",
            )  # fmt: skip
        console.print(pace)
    return 0


if __name__ == "__main__":
    sys.exit(main())
