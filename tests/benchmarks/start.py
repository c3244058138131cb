"""How long each role takes from the start of its process to the first thing it does.

    python -m tests.benchmarks.start                       three minutes on two cores
    python -m tests.benchmarks.start --rounds 1 --engines openvino-int8

Work waits for each: frames for the worker, events for its readers, Redis for all. "imports" is a
Python process that imports what the role imports and ends. Median of the rounds (least-most), in
seconds. A worker's cache of converted networks is full but in the row that says otherwise.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from contract.event import EmotionEvent
from contract.keys import Keys
from contract.wire import FIELD
from deploy.local.child import PartFailed
from tests.benchmarks import machine
from tests.benchmarks.footage import SHIPPED
from tests.benchmarks.progress import say
from tests.benchmarks.run import Spread
from tests.benchmarks.system import System
from tests.benchmarks.usage import REPOSITORY
from tests.benchmarks.variant import Variant
from tests.integration.pages import Page

ENGINES = ("openvino-int8", "openvino-bfloat16", "keras")
_KEYS = Keys()
_EVERY_S = 0.02  # between the events that the live view sees
_WORKER = ("worker.cli", "worker.loop", "worker.assemble")


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from a process' start to `until`, and of `imports`, of every round."""

    role: str
    until: str
    seconds: list[float] = field(default_factory=list)
    imports: list[float] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.start",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--engines", type=lambda text: text.split(","), default=list(ENGINES),
        help=f"of the worker, with commas (default: {', '.join(ENGINES)})",
    )  # fmt: skip
    options = parser.parse_args()
    told = machine.describe()
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(machine.headline(told))
    if busy := machine.busy(told):
        say(busy)
    console.print(table(measure(options.rounds, options.engines)))
    return 0


def measure(rounds: int, engines: Sequence[str]) -> list[Start]:
    """All roles, one after the other."""
    starts: list[Start] = []
    with System() as system, tempfile.TemporaryDirectory() as folder:
        for role, until, modules, begin in (
            ("emotion-producer", "a frame in Redis", ["producer.cli"], _producer),
            ("emotion-events", "a line", ["consumer.cli"], _events),
            ("emotion-view", "an event on the page", ["consumer.view.cli"], _view),
        ):
            starts.append(_rounds(system, Start(role, until), modules, begin, rounds))
        for name in engines:
            try:
                starts += _worker(system, Variant.parse(name), Path(folder) / name, rounds)
            except PartFailed as error:
                say(f"{name} is left out: {error}")
                system.stop_all()
        up = Start("emotion-up", "an event")
        starts.append(
            _rounds(system, up, ["deploy.local.run"], lambda one: _up(one, Path(folder)), rounds)
        )
    return starts


def _rounds(
    system: System,
    start: Start,
    modules: Sequence[str],
    begin: Callable[[System], float],
    rounds: int,
) -> Start:
    for _ in range(rounds):
        system.client.flushall()
        start.seconds.append(begin(system))
        start.imports.append(_imports(modules))
    say(f"{start.role}: {Spread.of(start.seconds).text('{:.2f}')} s")
    return start


def _imports(modules: Sequence[str]) -> float:
    """Seconds of a process that imports them."""
    began_s = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", f"import {', '.join(modules)}"],
        check=True, cwd=REPOSITORY, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return time.perf_counter() - began_s


def _producer(system: System) -> float:
    began_s = time.perf_counter()
    producer = system.start("producer", "producer", "--loop", str(SHIPPED))
    system.wait(lambda: system.total("published"), "a frame")
    seconds = time.perf_counter() - began_s
    system.stop(producer)
    return seconds


def _events(system: System) -> float:
    _publish(system, 0)
    began_s = time.perf_counter()
    reader = system.start(
        "reader", "consumer", "--format", "jsonl", "--from", "beginning", stdout=subprocess.PIPE
    )
    assert reader.process.stdout is not None
    with reader.process.stdout as stdout:
        line = stdout.readline()
        seconds = time.perf_counter() - began_s
    if not line.startswith("{"):
        raise PartFailed(reader.last_words())
    system.stop(reader)
    return seconds


def _view(system: System) -> float:
    with _publishing(system):
        began_s = time.perf_counter()
        view = system.start("view", "consumer.view", "--port", "0")
        system.wait_ready(view)
        with Page(int(view.said["url"].rstrip("/").rpartition(":")[2])) as page:
            page.until(lambda state: state["sources"])
        seconds = time.perf_counter() - began_s
    system.stop(view)
    return seconds


def _publish(system: System, seq: int) -> None:
    now_ns = time.time_ns()
    event = EmotionEvent("camera", "s", seq, now_ns, None, now_ns, 640, 480, "m@1", ())
    system.client.xadd(_KEYS.events, {FIELD: event.encode()})


@contextmanager
def _publishing(system: System) -> Iterator[None]:
    """An event now and then, as of a camera."""
    stop = threading.Event()

    def run() -> None:
        for seq in itertools.count():
            if stop.wait(_EVERY_S):
                return
            _publish(system, seq)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _worker(system: System, variant: Variant, cache: Path, rounds: int) -> list[Start]:
    """Ready and first event, with the cache full; of a converting one the very first start too."""
    name = f"emotion-worker, {variant.name}"
    empty = Start(f"{name}, empty cache", "ready")
    ready, event = Start(name, "ready"), Start(name, "an event")
    modules = [*_WORKER, *(("keras",) if variant.engine == "keras" else ("openvino",))]
    environment = {**variant.environment, "EMOTION_CACHE": str(cache)}
    for number in range(rounds + 1):
        system.client.flushall()
        producer = system.start("producer", "producer", "--loop", "--no-realtime", str(SHIPPED))
        system.wait(lambda: system.total("backlog") >= 32, "frames")
        system.stop(producer)
        began_s = time.perf_counter()
        worker = system.start("worker", "worker", environment=environment)
        system.wait_ready(worker)
        ready_s = time.perf_counter() - began_s
        system.wait(lambda: system.total("events"), "an event")
        event_s = time.perf_counter() - began_s
        system.stop(worker)
        if number == 0:  # also brings the files into the machine's memory
            empty.seconds.append(ready_s)
            continue
        ready.seconds.append(ready_s)
        event.seconds.append(event_s)
        ready.imports.append(_imports(modules))
        event.imports.append(ready.imports[-1])
    for start in (ready, event):
        say(f"{name}: {start.until} {Spread.of(start.seconds).text('{:.2f}')} s")
    return [empty, ready, event] if any(cache.rglob("*.xml")) else [ready, event]


def _up(system: System, folder: Path) -> float:
    events = folder / "events.jsonl"
    partial = events.with_name(events.name + ".partial")
    began_s = time.perf_counter()
    up = system.start("emotion-up", "deploy.local", str(SHIPPED), "--quiet", "--loop",
                      "--events", str(events))  # fmt: skip
    system.wait(lambda: partial.exists() and partial.stat().st_size, "an event")
    seconds = time.perf_counter() - began_s
    system.stop(up)
    for path in folder.glob("events.jsonl*"):
        path.unlink()
    return seconds


def table(starts: Sequence[Start]) -> Table:
    """The starts for people."""
    made = Table("role", title="from the start of the process, seconds", title_justify="left")
    made.add_column("until")
    for column in ("seconds", "of it imports"):
        made.add_column(column, justify="right")
    for start in starts:
        made.add_row(
            start.role,
            start.until,
            *(Spread.of(some).text("{:.2f}") if some else ""
              for some in (start.seconds, start.imports)),
        )  # fmt: skip
    return made


if __name__ == "__main__":
    sys.exit(main())
