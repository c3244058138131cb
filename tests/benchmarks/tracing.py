"""What traces cost in the path of a frame, off and on.

    python -m tests.benchmarks.tracing

Off is every test that a frame meets: one in the producer (twice, with nothing to do), one in the
worker. On is what the thread of the frame does; that of the exporter is not in it, nor are the
stages themselves. Microseconds of the thread's CPU time a frame, the least of seven rounds.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from rich.console import Console
from rich.table import Table

from contract.frame import FrameMessage
from contract.process.tracing import open_tracer
from producer.publish import Published
from producer.traces import FrameTraces as ProducerTraces
from worker.delivery import Delivery, Settlement
from worker.traces import FrameTraces as WorkerTraces

_ROUNDS, _FRAMES, _BATCH = 7, 4_000, 8
_STAGES = ("decode", "detect", "crop", "classify")


def frame(trace: bytes | None) -> FrameMessage:
    return FrameMessage("lobby", "s", 0, time.time_ns(), None, 64, 48, b"", trace=trace)


def measured(work: Callable[[int], None]) -> float:
    """Microseconds a frame; `work` does so many frames."""
    work(_FRAMES // 10)
    rounds = []
    for _ in range(_ROUNDS):
        began_s = time.thread_time()
        work(_FRAMES)
        rounds.append((time.thread_time() - began_s) / _FRAMES * 1e6)
    return min(rounds)


def nothing(frames: int) -> None:
    """The loop itself."""
    for _ in range(frames):
        pass


def off_producer(frames: int) -> None:
    """`Stream._send`."""
    traces: Any = SimpleNamespace(traces=None)
    for _ in range(frames):
        trace = None if traces.traces is None else traces.traces.begin("lobby", 1)
        _ = None if trace is None else trace.encoded()
        if trace is not None:
            trace.end(None)


def off_worker(frames: int) -> None:
    """`Endings.sort_out`."""
    untraced, found = frame(None), 0
    for _ in range(frames):
        if untraced.trace is not None:
            found += 1


def on_producer(traces: ProducerTraces) -> Callable[[int], None]:
    published = Published("s", 1, True)

    def work(frames: int) -> None:
        for _ in range(frames):
            trace = traces.begin("lobby", time.time_ns())
            if trace is not None:
                trace.encoded()
                trace.end(published)

    return work


def on_worker(traces: WorkerTraces, header: bytes) -> Callable[[int], None]:
    """In batches of `_BATCH`, each frame sampled."""
    message = frame(header)

    def work(frames: int) -> None:
        for batch in range(frames // _BATCH):
            now_ns = time.time_ns()
            ids = (f"{now_ns // 1_000_000}-{batch}{i}".encode() for i in range(_BATCH))
            items = [(Delivery(0, entry_id, {}), message) for entry_id in ids]
            traces.read([delivery for delivery, _ in items])
            for delivery, _ in items:
                traces.follow(delivery, message)
            traces.analysing(items)
            for stage in _STAGES:
                traces.stage(stage, 0.0)
            ends = [Settlement(delivery, "drop", "stale") for delivery, _ in items]
            traces.settling(ends)
            for end in ends:
                traces.settled(end, True)

    return work


def main() -> int:
    os.environ |= {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_BSP_SCHEDULE_DELAY": "3600000",  # nothing is sent
        "OTEL_BSP_MAX_QUEUE_SIZE": "1000000",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1000000",
    }
    table = Table("", "µs a frame")
    loop = measured(nothing)
    table.add_row("off, producer", f"{measured(off_producer) - loop:.3f}")
    table.add_row("off, worker", f"{measured(off_worker) - loop:.3f}")
    os.environ["OTEL_TRACES_SAMPLER"] = "always_off"
    unsampled = open_tracer("emotion-benchmark", "emotion")
    os.environ["OTEL_TRACES_SAMPLER"] = "always_on"
    sampled = open_tracer("emotion-benchmark", "emotion")
    assert unsampled is not None
    assert sampled is not None
    table.add_row(
        "on, producer, not sampled", f"{measured(on_producer(ProducerTraces(unsampled))):.1f}"
    )
    table.add_row("on, producer, sampled", f"{measured(on_producer(ProducerTraces(sampled))):.1f}")
    begun = ProducerTraces(sampled).begin("lobby", time.time_ns())
    assert begun is not None
    traces = WorkerTraces(sampled, "worker")
    table.add_row("on, worker, sampled", f"{measured(on_worker(traces, begun.encoded())):.1f}")
    Console().print(table)
    sys.stdout.flush()
    os._exit(0)  # or what was made would be sent now


if __name__ == "__main__":
    main()
