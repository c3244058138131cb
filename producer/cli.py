"""`emotion-producer`: settings in, objects wired, exit code out."""

from __future__ import annotations

import platform
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import structlog
from prometheus_client import CollectorRegistry

from contract.connect import check, connect, eviction_policy
from contract.errors import EmotionStreamError, SourceError
from contract.layout_watch import LayoutWatch
from contract.outage import patient_start
from contract.partitions import agree_on_layout
from contract.process.command import run_command
from contract.process.health import Health, HealthServer
from contract.process.memory import keep_freed_memory
from contract.process.settings import usable_cores
from contract.process.stop import stop_on_signals
from contract.process.tracing import open_tracer
from contract.redact import redacted
from producer.backoff import Backoff
from producer.heartbeat import Heartbeat
from producer.metrics import ProducerMetrics
from producer.publish import Publisher
from producer.reader import open_in_time
from producer.record import Recorder
from producer.settings import ProducerSettings
from producer.source import Source, find_sources
from producer.stream import Stream, StreamOptions
from producer.supervisor import supervise
from producer.traces import FrameTraces
from producer.video import Video

PROGRAM = "emotion-producer"
_RECONNECT_BASE_S = 0.25

_log = structlog.get_logger()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_command(ProducerSettings, PROGRAM, _work, argv)


def _work(settings: ProducerSettings) -> int:
    keep_freed_memory()
    stop = stop_on_signals()
    tracer = open_tracer(PROGRAM, settings.prefix)
    exit_code = 0

    def complain(error: EmotionStreamError) -> None:
        """One line as soon as it happens: the other sources may go on for days."""
        nonlocal exit_code
        print(f"{PROGRAM}: {error}", file=sys.stderr, flush=True)
        # A source that cannot be used (2) is the user's to correct, whatever else went wrong.
        exit_code = max(exit_code, error.exit_code)

    sources = find_sources(settings.source, settings.source_id)
    # Files and cameras first: a wrong name is said at once, even if there is no Redis either.
    usable, cameras = _check_local(sources, stop, complain)
    if not usable:
        return exit_code
    _warn_if_mixed(settings, usable)

    with ExitStack() as stack:
        client = connect(settings.redis, retries=0)
        stack.callback(client.close)
        if tracer is not None:
            stack.callback(tracer.close)
        check(client, settings.redis)
        layout = patient_start(
            lambda: agree_on_layout(client, settings.prefix, settings.partitions),
            settings.redis,
            settings.redis_timeout,
            stop.wait,
        )
        if layout is None:
            return exit_code  # asked to stop first
        layouts = stack.enter_context(LayoutWatch(client, settings.prefix, layout, says=True))
        if policy := eviction_policy(client):
            _log.warning("redis may evict frames, use noeviction", maxmemory_policy=policy)
        registry = CollectorRegistry()
        metrics = ProducerMetrics(registry, [source.id for source in sources])
        for source in sources:
            mode = settings.mode_for(is_file=source.kind == "file")
            metrics.describe(source.id, kind=source.kind, mode=mode)
        health = Health()
        if settings.metrics_port is not None:
            server = stack.enter_context(
                HealthServer(
                    registry, health, host=settings.metrics_host, port=settings.metrics_port
                )
            )
            _log.info("serving metrics", url=f"http://{settings.metrics_host}:{server.port}")

        options = StreamOptions(
            fps=settings.fps,
            realtime=settings.realtime,
            loop=settings.loop,
            max_width=settings.max_width,
            quality=settings.quality,
        )
        streams = []
        for source in usable:
            heartbeat = Heartbeat(stop)
            mode = settings.mode_for(is_file=source.kind == "file")
            publisher = Publisher(
                client,
                layouts,
                source.id,
                mode=mode,
                metrics=metrics,
                heartbeat=heartbeat,
                max_backlog=settings.max_backlog,
                max_age_ns=settings.max_age_ns_for(mode),
                redis_timeout_s=settings.redis_timeout,
                full_timeout_s=settings.full_timeout,
                server=redacted(settings.redis),
            )
            streams.append(
                Stream(
                    source,
                    options,
                    publisher,
                    metrics,
                    heartbeat,
                    Backoff(base_s=_RECONNECT_BASE_S, cap_s=settings.reconnect_max),
                    recorder=Recorder(settings.record, source.id) if settings.record else None,
                    opened=cameras.get(source.id),
                    traces=None if tracer is None else FrameTraces(tracer),
                )
            )
        # Shutdown, in this order: each stream finishes its frame, closes its session and tells
        # readers so (inside supervise); then the metrics go, then the connection.
        at_once = None if settings.loop else settings.at_once or usable_cores()
        supervise(streams, stop, health, complain, files_at_once=at_once)
    _log.info("stopped", exit_code=exit_code)
    return exit_code


def _check_local(
    sources: Sequence[Source],
    stop: threading.Event,
    complain: Callable[[EmotionStreamError], None],
) -> tuple[list[Source], dict[str, Video]]:
    """The sources without the files and cameras that cannot be opened; the cameras, by source id,
    stay open."""
    usable = []
    cameras: dict[str, Video] = {}
    for source in sources:
        if source.is_local and not source.is_pipe:
            try:
                video = _open(source, stop)
            except SourceError as error:
                complain(error)
                continue
            if video is None:
                return [], cameras  # asked to stop
            if source.kind == "camera":
                cameras[source.id] = video
            else:  # there may be more files than a process may have open
                video.close()
        usable.append(source)
    return usable, cameras


def _open(source: Source, stop: threading.Event) -> Video | None:
    """The open source; None when asked to stop first."""
    if source.kind == "camera" and platform.system() == "Darwin":
        return source.open()  # macOS asks the user for leave, from the main thread only
    return open_in_time(source.open, source.label, stop)


def _warn_if_mixed(settings: ProducerSettings, sources: Sequence[Source]) -> None:
    modes = {settings.mode_for(is_file=source.kind == "file") for source in sources}
    if len(modes) > 1:
        _log.warning(
            "live and lossless sources share a stream: while the lossless ones keep it full, live "
            "frames are refused"
        )
