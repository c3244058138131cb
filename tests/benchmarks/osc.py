"""How even the pace of OSC is while events come unevenly.

    python -m tests.benchmarks.osc                    a minute, one source
    python -m tests.benchmarks.osc --sources 4 --busy 2

Somebody's face at 15 frames a second, whose events come 0 to 80 ms late and in bursts, goes through
the fan-out, the playout clock and the OSC sink to a socket of another process. "off" is how far the
time between two bundles of a source is from a tick's, by the kernel's time stamps: a busy receiver
is not taken for a late sender. The clock may run 1 % fast or slow, which is 1 ms at 10 Hz.

The sink asks for real-time scheduling, as audio programs do. --ordinary shows what a busy machine
does to it without, as for a user who may not have it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from pythonosc.osc_bundle import OscBundle
from rich.console import Console
from rich.table import Table

from consumer.percentiles import Percentiles
from consumer.sinks.fan_out import FanOut
from consumer.sinks.osc import OscSink
from consumer.sinks.playout import Playout
from consumer.sinks.udp import UdpAddress
from contract.smoothed import SmoothedEvent
from tests.signals import event, person

FPS, LATE_S, BURST_EVERY, BURST_S = 15, 0.080, 40, 0.150
_SETTLE_S = 2.0  # until the delay is known
_SO_TIMESTAMPNS = 35  # Linux's; Python has no name for it
_BUSY = "while True: pass"


def parser() -> argparse.ArgumentParser:
    """The flags."""
    made = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.osc",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--seconds", type=float, default=60.0)
    made.add_argument("--sources", type=int, default=1)
    made.add_argument("--rate", type=float, default=10.0, help="Hz")
    made.add_argument("--busy", type=int, default=0, help="processes that only keep cores busy")
    made.add_argument("--ordinary", action="store_true", help="no real-time scheduling")
    made.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    return made


def main() -> int:
    options = parser().parse_args()
    if options.receive:
        receive()
        return 0
    busy = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(options.busy)]
    receiver = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.osc", "--receive"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert receiver.stdout is not None
        sink = OscSink(
            [UdpAddress("127.0.0.1", int(receiver.stdout.readline()))],
            Playout(options.rate),
            first=not options.ordinary,
        )
        arrivals = send(sink, options.sources, options.seconds)
        came, _ = receiver.communicate("")
    finally:
        for process in [*busy, receiver]:
            process.kill()
            process.wait()
    report(options, sink, arrivals, json.loads(came))
    return 0


def send(sink: OscSink, sources: int, seconds: float) -> list[float]:
    """Feed the sink as events would come; when those of the first source came."""
    begun_s = time.monotonic()
    arrivals = []
    with FanOut([sink]) as fan_out:
        for due_s, signal in _schedule(sources, seconds):
            time.sleep(max(0.0, begun_s + due_s - time.monotonic()))
            now_s = time.monotonic()
            fan_out.put([signal], now_s)
            if signal.source == "camera-0":
                arrivals.append(time.time())
    return arrivals


def _schedule(sources: int, seconds: float) -> Iterator[tuple[float, SmoothedEvent]]:
    generator = random.Random(1)
    events = []
    for camera in range(sources):
        latest_s = held_s = 0.0
        for n in range(int(seconds * FPS)):
            captured_s = n / FPS
            if n % BURST_EVERY == 0:
                held_s = captured_s + BURST_S
            due_s = captured_s + generator.uniform(0.0, LATE_S)
            latest_s = max(latest_s, due_s, held_s if captured_s < held_s else 0.0)
            seen = event(captured_s, person(happiness=n % 30 / 30), source=f"camera-{camera}")
            events.append((latest_s, seen))
    return iter(sorted(events, key=lambda each: each[0]))


class StampedSocket:
    """A UDP socket on a free `port` that says when the kernel got each datagram."""

    def __init__(self, timeout_s: float) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(timeout_s)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.port: int = self._socket.getsockname()[1]

    def take(self) -> tuple[bytes, float]:
        """A datagram, and when it came in seconds since the epoch. Raises `TimeoutError`."""
        datagram, ((_, _, stamp),), _, _ = self._socket.recvmsg(2000, 64)
        seconds, nanoseconds = struct.unpack("qq", stamp)
        return datagram, seconds + nanoseconds / 1e9

    def close(self) -> None:
        self._socket.close()


def receive() -> None:
    """Note when each tick of each source came, until standard input ends."""
    came: dict[str, list[float]] = {}
    with closing(StampedSocket(timeout_s=3.0)) as receiver:
        print(receiver.port, flush=True)
        try:
            while True:
                datagram, now_s = receiver.take()
                for content in OscBundle(datagram):
                    if content.address.endswith("/people"):
                        came.setdefault(content.address, []).append(now_s)
        except TimeoutError:
            print(json.dumps(came))


def report(
    options: argparse.Namespace,
    sink: OscSink,
    arrivals: Sequence[float],
    came: dict[str, list[float]],
) -> None:
    period_s = 1.0 / options.rate
    table = Table(title=f"OSC at {options.rate:g} Hz, {options.sources} source(s), ms")
    for heading in ("", "p50", "p99", "max"):
        table.add_column(heading, justify="right" if heading else "left")
    # The delay is not known at the first ticks, and the last one does not wait.
    span = arrivals[0] + _SETTLE_S, arrivals[-1]
    _row(table, "events: off", [arrivals], 1 / FPS, span)
    _row(table, "bundles: off", list(came.values()), period_s, span)
    console = Console(width=100)
    console.print(table)
    bundles = sum(map(len, came.values()))
    playout = sink.playout
    console.print(
        f"{bundles} bundles came, {sink.lost} lost; {playout.underruns} underruns, "
        f"{playout.skipped} ticks skipped"
    )


def _row(
    table: Table,
    name: str,
    lines: Sequence[Sequence[float]],
    even_s: float,
    span: tuple[float, float],
) -> None:
    first_s, last_s = span
    off = [
        abs(after - before - even_s)
        for line in lines
        for before, after in itertools.pairwise(line)
        if first_s <= before and after <= last_s
    ]
    found = Percentiles.of(off)
    assert found is not None, "run it for longer than it takes to settle"
    table.add_row(name, *(f"{1000 * each:.2f}" for each in (found.p50_s, found.p99_s, max(off))))


if __name__ == "__main__":
    sys.exit(main())
