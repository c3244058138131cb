"""`emotion-worker`: settings in, objects wired, exit code out."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry

from contract.connect import check, connect, eviction_policy, is_cluster
from contract.keys import Keys
from contract.layout_watch import LayoutWatch
from contract.outage import patient_start
from contract.partitions import agree_on_layout
from contract.process.command import run_command
from contract.process.health import Health, HealthServer
from contract.process.logs import native_output_to_debug
from contract.process.stop import stop_on_signals
from contract.process.tracing import open_tracer
from contract.redact import redacted
from contract.wire import MAX_IMAGE_PIXELS
from worker.delivery import Settlement
from worker.frames import LEASE_S, RedisFrameQueue
from worker.lease import LeaseKeeper
from worker.metrics import PartitionCollector, WorkerMetrics
from worker.outcome import FrameAnalyser
from worker.partitions import PartitionedQueue
from worker.settings import WorkerSettings
from worker.traces import FrameTraces, both

if TYPE_CHECKING:
    import redis

_log = structlog.get_logger()

# From settings, threads that decode and what hears of each stage's seconds: an analyser, warmed up,
# and what `emotion_model_info` says of it.
BuildAnalyser = Callable[
    [WorkerSettings, Executor, Callable[[str, float], None]],
    tuple[FrameAnalyser, dict[str, str]],
]


def _build_analyser(
    settings: WorkerSettings, decoders: Executor, observe: Callable[[str, float], None]
) -> tuple[FrameAnalyser, dict[str, str]]:
    # TensorFlow takes seconds to import: not before the flags and the server are known good.
    from worker.assemble import build_analyser

    return build_analyser(settings, decoders, observe)


def main(
    argv: Sequence[str] | None = None,
    *,
    build_analyser: BuildAnalyser = _build_analyser,
    lease_s: float = LEASE_S,
) -> int:
    """Run the command; returns its exit code.

    Tests put another analyser in place of the networks, and shorten the lease; all workers of a
    system must have the same.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["dead"]:
        from worker.dead.cli import main as dead

        return dead(arguments[1:])
    if arguments[:1] == ["check"]:
        from worker.check.cli import main as check_all

        return check_all(arguments[1:])
    if arguments[:1] == ["partitions"]:
        from worker.repartition.cli import main as partitions

        return partitions(arguments[1:])
    work = partial(_work, build_analyser=build_analyser, lease_s=lease_s)
    return run_command(WorkerSettings, "emotion-worker", work, arguments)


def _work(settings: WorkerSettings, *, build_analyser: BuildAnalyser, lease_s: float) -> int:
    started_s = time.monotonic()
    tracer = open_tracer("emotion-worker", settings.prefix)
    client = connect(settings.redis, retries=0)
    check(client, settings.redis)
    stop = threading.Event()
    layout = patient_start(
        lambda: agree_on_layout(client, settings.prefix, settings.partitions),
        settings.redis,
        settings.redis_timeout,
        stop.wait,
    )
    assert layout is not None, "nobody sets `stop` yet"
    layouts = LayoutWatch(client, settings.prefix, layout, says=True)
    if policy := eviction_policy(client):
        _log.warning("redis may evict frames, use noeviction", maxmemory_policy=policy)
    consumer = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry)
    observe_stage, observe_settled = metrics.observe_stage, metrics.observe_settled
    traces = None if tracer is None else FrameTraces(tracer, consumer)
    if traces is not None:
        observe_stage = both(observe_stage, traces.stage)
        observe_settled = both(observe_settled, traces.settled)
    health = Health(max_silence_s=90.0)
    queue = _make_queue(
        settings,
        client,
        layouts,
        consumer,
        lease_s=lease_s,
        on_settled=observe_settled,
        on_outage=metrics.outages.inc,
        pause=stop.wait,
    )

    with ExitStack() as stack:
        stack.callback(client.close)
        stack.enter_context(layouts)
        if tracer is not None:
            stack.callback(tracer.close)
        if settings.metrics_port is not None:
            registry.register(PartitionCollector(queue.report))
            server = stack.enter_context(
                HealthServer(
                    registry, health, host=settings.metrics_host, port=settings.metrics_port
                )
            )
            _log.info("serving metrics", url=f"http://{settings.metrics_host}:{server.port}")
        decoders = stack.enter_context(ThreadPoolExecutor(settings.decoders, "decode"))

        set_library_limits()
        with native_output_to_debug():
            analyser, model_info = build_analyser(settings, decoders, observe_stage)
        metrics.model.info(model_info)

        from worker.loop import LoopLimits, WorkerLoop

        # Only from here on: a signal while TensorFlow loads ends the process at once, which loses
        # nothing, because nothing is in hand yet.
        stop_on_signals(stop)
        leases = LeaseKeeper(queue, every_s=lease_s / 4)
        loop = WorkerLoop(
            queue,
            analyser,
            metrics,
            health,
            leases,
            LoopLimits(
                batch_size=settings.batch_size or analyser.batch_size,
                max_wait_s=settings.max_wait,
                max_attempts=settings.max_attempts,
            ),
            stop,
            traces,
        )
        # Shutdown, in this order: stop reading, settle what is in hand (both inside run), stop
        # renewing leases, take our name off the group.
        with leases:
            health.ready()
            metrics.ready.set(1)
            _log.info(
                "ready",
                worker=consumer,
                redis=redacted(settings.redis),
                partitions=layout.partitions,
                start_s=round(time.monotonic() - started_s, 1),
                **model_info,
            )
            loop.run()
        health.not_ready()
        queue.leave()
        _log.info("stopped", worker=consumer)
    return 0


def _make_queue(
    settings: WorkerSettings,
    client: redis.Redis,
    layouts: LayoutWatch,
    consumer: str,
    *,
    lease_s: float,
    on_settled: Callable[[Settlement, bool], None],
    on_outage: Callable[[], None],
    pause: Callable[[float], object],
) -> PartitionedQueue:
    """All partitions there are, and those that will be."""

    def make(partition: int) -> RedisFrameQueue:
        return RedisFrameQueue(
            client,
            Keys(settings.prefix, partition),
            consumer,
            lease_s=lease_s,
            keep_events=settings.keep_events,
            keep_dead=settings.keep_dead,
            keep_dead_bytes=settings.keep_dead_mb * 2**20,
            keep_dead_s=settings.keep_dead_days * 86_400,
            # Or a reader that comes later would know of one partition only.
            announce=layouts.look,
        )

    return PartitionedQueue(
        make,
        lambda: layouts.layout.streams,
        who=f"worker ({redacted(settings.redis)})",
        shared=not is_cluster(client),
        timeout_s=settings.redis_timeout,
        on_settled=on_settled,
        on_outage=on_outage,
        pause=pause,
    )


def set_library_limits() -> None:
    """What OpenCV, TensorFlow and JAX read from the environment when they are first imported."""
    # A second line behind the check of the JPEG's header.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_IMAGE_PIXELS))
    # TensorFlow takes a whole GPU otherwise, JAX three quarters, and a second worker on it none.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
