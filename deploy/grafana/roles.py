"""The panels on workers, sources, and what was seen."""

from __future__ import annotations

from contract.affect import COORDINATES
from contract.palette import hex_colour_of
from deploy.grafana.matchers import ALL, PACE, SOURCE, WORKER, quantiles
from deploy.grafana.panel import Panel, Query, Row

_ENCODE = f"sum by (le) (rate(emotion_encode_seconds_bucket{{{ALL}}}{PACE}))"
_PUBLISH = f"sum by (le) (rate(emotion_publish_seconds_bucket{{{ALL}}}{PACE}))"
_SPAN = f"{{{WORKER}}}{PACE}"
_IS_WORKER = "and on (namespace, job, instance) emotion_worker_ready"
_EMOTIONS = f"rate(emotion_events_by_emotion_total{{{WORKER}}}{PACE})"

WORKERS = Row(
    "Workers",
    (
        Panel(
            "Time in each stage",
            "What one batch spends in each stage, on average. The longest is what to make faster.",
            "s",
            (
                Query(
                    f"sum by (stage) (rate(emotion_stage_seconds_sum{{{WORKER}}}{PACE})) / "
                    f"sum by (stage) (rate(emotion_stage_seconds_count{{{WORKER}}}{PACE}))",
                    "{{stage}}",
                ),
            ),
        ),
        Panel(
            "Batch size",
            "How many frames are analysed together: how many batches of each size. Batches grow by "
            "themselves when all lanes are busy.",
            "short",
            (
                Query(
                    f"sum by (le) (increase(emotion_batch_frames_bucket{{{WORKER}}}{PACE}))",
                    "{{le}}",
                ),
            ),
            kind="heatmap",
        ),
        Panel(
            "Frames by worker",
            "Events a second of each worker: they share the work by themselves.",
            "cps",
            (
                Query(
                    "sum by (instance) (rate("
                    f'emotion_frames_total{{{WORKER}, outcome="event"}}{PACE}))',
                    "{{instance}}",
                ),
            ),
            is_stacked=True,
        ),
        Panel(
            "CPU by worker",
            "Cores that each worker uses.",
            "short",
            (Query(f"rate(process_cpu_seconds_total{_SPAN}) {_IS_WORKER}", "{{instance}}"),),
            width=6,
        ),
        Panel(
            "Memory by worker",
            "Resident memory of each worker.",
            "bytes",
            (Query(f"process_resident_memory_bytes{{{WORKER}}} {_IS_WORKER}", "{{instance}}"),),
            width=6,
        ),
        Panel(
            "Trouble",
            "Restarts, frames taken over from another worker, settlements that came too late, "
            "times Redis was away, and events older than their frames (clocks disagree).",
            "short",
            (
                Query(f"sum(changes(process_start_time_seconds{_SPAN}) {_IS_WORKER})", "restarts"),
                Query(f"sum(increase(emotion_redeliveries_total{_SPAN}))", "taken over"),
                Query(
                    f'sum(increase(emotion_frames_total{{{WORKER}, outcome="lost"}}{PACE}))', "late"
                ),
                Query(f"sum(increase(emotion_redis_outages_total{_SPAN}))", "Redis away"),
                Query(f"sum(increase(emotion_clock_skew_total{_SPAN}))", "clock skew"),
            ),
            width=6,
        ),
        Panel(
            "Models",
            "Which classifier each worker runs, on what, and why. More than one model: an alert.",
            "short",
            (
                Query(
                    "count by (instance, model, sha256, engine, precision) "
                    f"(emotion_model_info{{{WORKER}}})",
                    "{{instance}}: {{model}}, {{engine}}, {{precision}}",
                ),
            ),
            kind="table",
            width=6,
        ),
    ),
)

SOURCES = Row(
    "Sources",
    (
        Panel(
            "Is it there",
            "1 while frames come from the source.",
            "bool_on_off",
            (Query(f"max by (source) (emotion_source_up{{{SOURCE}}})", "{{source}}"),),
            kind="state-timeline",
        ),
        Panel(
            "Frames captured",
            "Frames a second of each source.",
            "cps",
            (
                Query(
                    f"sum by (source) (rate(emotion_frames_captured_total{{{SOURCE}}}{PACE}))",
                    "{{source}}",
                ),
            ),
        ),
        Panel(
            "Frames dropped before Redis",
            "A camera that is too fast for its producer, or pictures that do not encode.",
            "cps",
            (
                Query(
                    f"sum by (source) (rate(emotion_frames_dropped_total{{{SOURCE}}}{PACE}))",
                    "{{source}}",
                ),
            ),
            is_stacked=True,
        ),
        Panel(
            "Lost and found",
            "closed: the other side ended it; stalled: nothing came for 4 s. Returns are new "
            "sessions. damaged: pieces of video that could not be decoded whole.",
            "short",
            (
                Query(
                    f"sum by (reason) (increase(emotion_source_losses_total{{{SOURCE}}}{PACE}))",
                    "{{reason}}",
                ),
                Query(
                    f"sum(increase(emotion_source_reconnects_total{{{SOURCE}}}{PACE}))", "returns"
                ),
                Query(f"sum(increase(emotion_packets_damaged_total{{{SOURCE}}}{PACE}))", "damaged"),
            ),
        ),
        Panel(
            "Encode",
            "Time to convert, shrink and encode one frame, all producers.",
            "s",
            quantiles(_ENCODE),
        ),
        Panel(
            "Publish",
            "Time of one call to Redis, all producers. Redis or the network is slow when it grows.",
            "s",
            quantiles(_PUBLISH),
        ),
    ),
)

EMOTIONS = Row(
    "Emotions",
    (
        Panel(
            "Emotions over time",
            "What share of all faces shows which emotion most probably.",
            "percentunit",
            (
                Query(
                    f"sum by (emotion) ({_EMOTIONS}) / "
                    f"ignoring (emotion) group_left () sum({_EMOTIONS})",
                    "{{emotion}}",
                ),
            ),
            width=16,
            is_stacked=True,
            colours=tuple((label, hex_colour_of(label)) for label in sorted(COORDINATES)),
        ),
        Panel(
            "Faces a frame",
            "How many faces an event holds, on average.",
            "short",
            (
                Query(
                    f"sum(rate(emotion_faces_total{{{WORKER}}}{PACE})) / "
                    f'sum(rate(emotion_frames_total{{{WORKER}, outcome="event"}}{PACE}))',
                    "faces",
                ),
            ),
        ),
    ),
)
