"""The panels on frames: how many, how late, how many wait."""

from __future__ import annotations

from deploy.grafana.matchers import ALL, PACE, SOURCE, WORKER, quantiles
from deploy.grafana.panel import Panel, Query, Row

_LATENCY = f"sum by (le) (rate(emotion_capture_to_event_seconds_bucket{{{WORKER}}}{PACE}))"
_CAMERAS = f'on (namespace, job, instance, source) emotion_source_info{{{SOURCE}, kind!="file"}}'

NOW = Row(
    "Now",
    (
        Panel(
            "Cameras down",
            "Cameras and network sources that deliver no frames just now. Files do not count.",
            "short",
            (Query(f"count(emotion_source_up{{{SOURCE}}} == 0 and {_CAMERAS}) or vector(0)", ""),),
            kind="stat",
            width=4,
            is_bad=True,
        ),
        Panel(
            "Workers ready",
            "Workers that have warmed up and take frames.",
            "short",
            (Query(f"sum(emotion_worker_ready{{{ALL}}})", ""),),
            kind="stat",
            width=4,
        ),
        Panel(
            "Events",
            "Events a second: one for each frame that was analysed.",
            "cps",
            (Query(f'sum(rate(emotion_frames_total{{{WORKER}, outcome="event"}}{PACE}))', ""),),
            kind="stat",
            width=4,
        ),
        Panel(
            "Latency p99",
            "99 % of the events come sooner than this after their frame was captured.",
            "s",
            (Query(f"histogram_quantile(0.99, {_LATENCY})", ""),),
            kind="stat",
            width=4,
            limit=0.15,
        ),
        Panel(
            "Backlog",
            "Frames that are not settled yet, those in workers' hands included.",
            "short",
            (Query(f"sum(max by (namespace, partition) (emotion_backlog_frames{{{ALL}}}))", ""),),
            kind="stat",
            width=4,
        ),
        Panel(
            "Dead letters",
            "Frames that could not be analysed and are kept: `emotion-worker dead list`.",
            "short",
            (Query(f"sum(max by (namespace, partition) (emotion_dead_letters{{{ALL}}}))", ""),),
            kind="stat",
            width=4,
            is_bad=True,
        ),
    ),
)

FUNNEL = Row(
    "From camera to event",
    (
        Panel(
            "Frames a second",
            "What goes in and what comes out. Events and dead letters are of all sources. Skipped: "
            "left out on purpose (--fps). A gap between published and events is a growing backlog.",
            "cps",
            (
                Query(f"sum(rate(emotion_frames_captured_total{{{SOURCE}}}{PACE}))", "captured"),
                Query(f"sum(rate(emotion_frames_skipped_total{{{SOURCE}}}{PACE}))", "skipped"),
                Query(f"sum(rate(emotion_frames_published_total{{{SOURCE}}}{PACE}))", "published"),
                Query(f'sum(rate(emotion_frames_total{{{ALL}, outcome="event"}}{PACE}))', "events"),
                Query(f'sum(rate(emotion_frames_total{{{ALL}, outcome="dead"}}{PACE}))', "dead"),
                Query(
                    f"sum(rate(emotion_frames_dropped_total{{{SOURCE}}}{PACE})) + "
                    f"sum(rate(emotion_partition_dropped_total{{{ALL}}}{PACE}))",
                    "dropped",
                ),
            ),
            width=10,
        ),
        Panel(
            "Funnel",
            "How many frames got how far, in the time shown. Skipped ones on purpose (--fps).",
            "short",
            (
                Query(
                    f"sum(increase(emotion_frames_captured_total{{{SOURCE}}}[$__range]))",
                    "captured",
                ),
                Query(
                    f"sum(increase(emotion_frames_skipped_total{{{SOURCE}}}[$__range]))",
                    "skipped",
                ),
                Query(
                    f"sum(increase(emotion_frames_published_total{{{SOURCE}}}[$__range]))",
                    "published",
                ),
                Query(
                    f'sum(increase(emotion_frames_total{{{ALL}, outcome="event"}}[$__range]))',
                    "events",
                ),
                Query(
                    f'sum(increase(emotion_frames_total{{{ALL}, outcome="dead"}}[$__range]))',
                    "dead",
                ),
                Query(
                    f"sum(increase(emotion_frames_dropped_total{{{SOURCE}}}[$__range])) + "
                    f"sum(increase(emotion_partition_dropped_total{{{ALL}}}[$__range]))",
                    "dropped",
                ),
            ),
            kind="bargauge",
            width=6,
        ),
        Panel(
            "Drops by reason",
            "encode, overrun, refused, superseded: before Redis, at a producer. stale, trimmed, "
            "unread: after it.",
            "cps",
            (
                Query(
                    f"sum by (reason) (rate(emotion_frames_dropped_total{{{SOURCE}}}{PACE}))",
                    "{{reason}}",
                ),
                Query(
                    f"sum by (reason) (rate(emotion_partition_dropped_total{{{ALL}}}{PACE}))",
                    "{{reason}}",
                ),
            ),
            is_stacked=True,
        ),
    ),
)

LATENCY = Row(
    "Latency",
    (
        Panel(
            "Capture to event",
            "How many frames took how long, by the wall clocks of both hosts.",
            "s",
            (
                Query(
                    "sum by (le) (increase("
                    f"emotion_capture_to_event_seconds_bucket{{{WORKER}}}{PACE}))",
                    "{{le}}",
                ),
            ),
            kind="heatmap",
            width=12,
        ),
        Panel(
            "Capture to event, quantiles",
            "The red line is the target, 150 ms. Quantiles are read off buckets: a value between "
            "two of them is a guess.",
            "s",
            quantiles(_LATENCY),
            width=12,
            limit=0.15,
        ),
    ),
)

BACKLOG = Row(
    "Backlog",
    (
        Panel(
            "Backlog",
            "Frames not settled yet, and those of them in workers' hands. A file fills the stream "
            "on purpose, up to --max-backlog.",
            "short",
            (
                Query(
                    f"max by (partition) (emotion_backlog_frames{{{ALL}}})", "waiting {{partition}}"
                ),
                Query(
                    f"max by (partition) (emotion_pending_frames{{{ALL}}})", "in hand {{partition}}"
                ),
            ),
        ),
        Panel(
            "Waiting for room",
            "Files that wait because the stream is full: the workers are what limits.",
            "short",
            (Query(f"sum(emotion_sources_waiting{{{ALL}}})", "sources"),),
        ),
        Panel(
            "Dead letters by reason",
            "New ones. image: broken pictures; attempts: frames that kill workers; version: a "
            "producer newer than the workers.",
            "cps",
            (
                Query(
                    "sum by (reason) (rate("
                    f"emotion_dead_letters_by_reason_total{{{WORKER}}}{PACE}))",
                    "{{reason}}",
                ),
            ),
            is_stacked=True,
        ),
    ),
)
