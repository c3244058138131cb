"""Every instrument of the producer. Base units; counts that must add up live in Redis."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
)

from producer.video import LossReason

# Why a captured frame was not published. What is dropped unread later, Redis counts.
DROP_REASONS = ("encode", "overrun", "refused", "superseded")
LOSS_REASONS = get_args(LossReason)

_STEP_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
# Up to a minute: so long a producer may wait for workers, or for Redis.
_WAIT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ProducerMetrics:
    """The instruments, registered on `registry`.

    `sources` are all configured ids: each has its series from the start, so that a source which
    never delivers shows as zeros and not as a gap.
    """

    def __init__(self, registry: CollectorRegistry, sources: Iterable[str]) -> None:
        self.registry = registry
        self.captured = Counter(
            "emotion_frames_captured",
            "Frames that came out of the source: skipped + dropped + published",
            ["source"],
            registry=registry,
        )
        self.skipped = Counter(
            "emotion_frames_skipped",
            "Frames left out on purpose (--fps)",
            ["source"],
            registry=registry,
        )
        self.dropped = Counter(
            "emotion_frames_dropped",
            "Frames lost on the way to Redis. encode: the picture could not be encoded; overrun: "
            "a live source went on while publishing waited; refused: the stream was full of frames "
            "that workers hold or lossless sources sent; superseded: another producer took this "
            "source over",
            ["source", "reason"],
            registry=registry,
        )
        self.published = Counter(
            "emotion_frames_published", "Frames that Redis took", ["source"], registry=registry
        )
        self.damaged = Counter(
            "emotion_packets_damaged",
            "Pieces of video that were skipped or decoded only in part",
            ["source"],
            registry=registry,
        )
        self.up = Gauge(
            "emotion_source_up", "1 while frames come from the source", ["source"],
            registry=registry,
        )  # fmt: skip
        self.info = Info(
            "emotion_source",
            "What a source is. kind: file, camera or url; mode: live or lossless",
            ["source"],
            registry=registry,
        )
        self.reconnects = Counter(
            "emotion_source_reconnects",
            "Times a lost source delivered frames again",
            ["source"],
            registry=registry,
        )
        self.losses = Counter(
            "emotion_source_losses",
            "Times a source was lost while it delivered. closed: the other side ended it; stalled: "
            "nothing came for longer than allowed",
            ["source", "reason"],
            registry=registry,
        )
        self.encode_seconds = Histogram(
            "emotion_encode_seconds",
            "Time to convert, shrink and encode one frame",
            buckets=_STEP_BUCKETS,
            registry=registry,
        )
        self.publish_seconds = Histogram(
            "emotion_publish_seconds",
            "Time of one publish call to Redis",
            buckets=_STEP_BUCKETS,
            registry=registry,
        )
        self.publish_waits_seconds = Histogram(
            "emotion_publish_waits_seconds",
            "Time a lossless frame waited for room in the full stream",
            buckets=_WAIT_BUCKETS,
            registry=registry,
        )
        self.waiting = Gauge(
            "emotion_sources_waiting",
            "Lossless sources that wait for room in the full stream just now",
            registry=registry,
        )
        self.outages = Counter(
            "emotion_redis_outages", "Times Redis could not be reached", registry=registry
        )
        # CPU and memory, and when it started: how Prometheus sees a restart. Linux only.
        ProcessCollector(registry=registry)
        for source in sources:
            for instrument in (
                self.captured, self.skipped, self.published, self.damaged, self.up, self.reconnects,
            ):  # fmt: skip
                instrument.labels(source)
            for reason in DROP_REASONS:
                self.dropped.labels(source, reason)
            for loss in LOSS_REASONS:
                self.losses.labels(source, loss)

    def describe(self, source: str, *, kind: str, mode: str) -> None:
        """Say what `source` is: a file that has ended is no camera that is down."""
        self.info.labels(source).info({"kind": kind, "mode": mode})
