"""Every instrument of the worker. Base units; counts that must add up come from Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from contract.snapshot import Snapshot
from worker.delivery import Settlement

_STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# Up to a minute: a backlog shows as latency.
_LATENCY_BUCKETS = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0,
)  # fmt: skip
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)

# Each has its series from the start: `increase` does not see a counter that is born at 1.
OUTCOMES = ("event", "dead", "drop", "lost")
BURY_REASONS = ("attempts", "error", "image", "malformed", "missing", "oversized", "version")
DROP_REASONS = ("stale", "trimmed", "unread")


class WorkerMetrics:
    """The instruments, registered on `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.batch_frames = Histogram(
            "emotion_batch_frames",
            "Frames analysed together",
            buckets=_BATCH_BUCKETS,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "emotion_stage_seconds",
            "Time one batch spent in one stage",
            ["stage"],
            buckets=_STAGE_BUCKETS,
            registry=registry,
        )
        self.capture_to_event_seconds = Histogram(
            "emotion_capture_to_event_seconds",
            "From capture to the published event, by the wall clocks of both hosts",
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self.clock_skew = Counter(
            "emotion_clock_skew",
            "Events captured later than published: the hosts' clocks disagree",
            registry=registry,
        )
        self.frames = Counter(
            "emotion_frames",
            "Frames this worker settled, by outcome; lost: settled before, by another worker or by "
            "an earlier try whose reply got lost",
            ["outcome"],
            registry=registry,
        )
        self.faces = Counter("emotion_faces", "Faces found", registry=registry)
        self.emotions = Counter(
            "emotion_events_by_emotion",
            "Faces by their most probable emotion",
            ["emotion"],
            registry=registry,
        )
        self.redeliveries = Counter(
            "emotion_redeliveries",
            "Frames taken over from another worker, or from before a lost connection",
            registry=registry,
        )
        self.rejections = Counter(
            "emotion_dead_letters_by_reason",
            "Frames this worker buried, by reason",
            ["reason"],
            registry=registry,
        )
        self.outages = Counter(
            "emotion_redis_outages", "Times Redis could not be reached", registry=registry
        )
        self.ready = Gauge("emotion_worker_ready", "1 once warmed up", registry=registry)
        self.model = Info("emotion_model", "The classifier in use", registry=registry)

        # CPU and memory, and when it started: how Prometheus sees a restart. Linux only.
        ProcessCollector(registry=registry)
        for outcome in OUTCOMES:
            self.frames.labels(outcome)
        for reason in BURY_REASONS:
            self.rejections.labels(reason)

    def observe_stage(self, stage: str, seconds: float) -> None:
        self.stage_seconds.labels(stage).observe(seconds)

    def observe_settled(self, item: Settlement, ours: bool) -> None:
        """Only what this worker settled is its own: the rest another worker counts."""
        self.frames.labels(item.kind if ours else "lost").inc()
        if not ours:
            return
        if item.kind == "dead":
            self.rejections.labels(str(item.body)).inc()
        if item.event is None:
            return
        if item.event.latency_s < 0:
            self.clock_skew.inc()  # counted, not clamped: a clamp would hide the fault
        else:
            self.capture_to_event_seconds.observe(item.event.latency_s)
        self.faces.inc(len(item.event.faces))
        for face in item.event.faces:
            self.emotions.labels(face.label).inc()


class PartitionCollector(Collector):
    """The shared counts of all partitions, straight from Redis at every scrape.

    `report` leaves out the partitions that another worker reports; a killed process takes its own
    counters with it, these stay right.
    """

    _GAUGES: ClassVar = {
        "emotion_backlog_frames": ("Frames not settled yet", "backlog"),
        "emotion_pending_frames": ("Frames in workers' hands", "pending"),
        "emotion_dead_letters": ("Dead letters kept", "dead_letters"),
        "emotion_dead_letter_bytes": ("Their bytes", "dead_letter_bytes"),
        "emotion_event_entries": ("Entries in the events stream", "event_entries"),
    }
    _COUNTERS: ClassVar = {
        "emotion_partition_published": ("Frames accepted", "published"),
        "emotion_partition_events": ("Frames that became events", "events"),
        "emotion_partition_dead": ("Frames that became dead letters", "dead"),
        "emotion_partition_refused": ("Frames never accepted: full", "refused"),
        "emotion_partition_redelivered": ("Frames taken over", "redelivered"),
        "emotion_partition_requeued": ("Dead letters put back", "requeued"),
    }

    def __init__(self, report: Callable[[], Mapping[int, Snapshot]]) -> None:
        self._report = report

    def describe(self) -> Iterable[Metric]:
        return []  # or registering would already ask Redis

    def collect(self) -> Iterable[Metric]:
        snapshots = self._report()
        if not snapshots:
            return
        for name, (text, count) in self._GAUGES.items():
            gauge = GaugeMetricFamily(name, text, labels=["partition"])
            for partition, snapshot in snapshots.items():
                gauge.add_metric([str(partition)], getattr(snapshot, count))
            yield gauge
        for name, (text, count) in self._COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=["partition"])
            for partition, snapshot in snapshots.items():
                counter.add_metric([str(partition)], getattr(snapshot, count))
            yield counter
        dropped = CounterMetricFamily(
            "emotion_partition_dropped", "Frames dropped", labels=["partition", "reason"]
        )
        for partition, snapshot in snapshots.items():
            for reason, number in {**dict.fromkeys(DROP_REASONS, 0), **snapshot.dropped}.items():
                dropped.add_metric([str(partition), reason], number)
        yield dropped
