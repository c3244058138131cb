"""The panels on Redis and on GPUs, from other programs' metrics."""

from __future__ import annotations

from deploy.grafana.matchers import PACE
from deploy.grafana.panel import Panel, Query, Row

REDIS = Row(
    "Redis",
    (
        Panel(
            "Memory",
            "What Redis uses, and its maxmemory (0: none is set). Producers wait when it is full.",
            "bytes",
            (
                Query("redis_memory_used_bytes", "used {{instance}}"),
                Query("redis_memory_max_bytes", "most {{instance}}"),
            ),
            width=6,
        ),
        Panel(
            "Commands",
            "Commands a second. One call settles a whole batch.",
            "ops",
            (Query(f"rate(redis_commands_processed_total{PACE})", "{{instance}}"),),
            width=6,
        ),
        Panel(
            "Network",
            "Bytes a second: frames come in once and go out once.",
            "Bps",
            (
                Query(f"rate(redis_net_input_bytes_total{PACE})", "in {{instance}}"),
                Query(f"rate(redis_net_output_bytes_total{PACE})", "out {{instance}}"),
            ),
            width=6,
        ),
        Panel(
            "Clients and evictions",
            "Connections. Evicted keys must stay at 0: maxmemory-policy noeviction.",
            "short",
            (
                Query("redis_connected_clients", "clients {{instance}}"),
                Query(f"increase(redis_evicted_keys_total{PACE})", "evicted {{instance}}"),
            ),
            width=6,
        ),
    ),
    needs="redis_exporter",
)

GPU = Row(
    "GPU",
    (
        Panel(
            "Utilisation",
            "Share of the time in which the GPU did anything. Low with a growing backlog: the "
            "decoding of JPEGs limits, not the GPU.",
            "percent",
            (Query("DCGM_FI_DEV_GPU_UTIL", "{{Hostname}} {{gpu}}"),),
        ),
        Panel(
            "Memory",
            "Memory of the GPU in use, in MiB.",
            "mbytes",
            (Query("DCGM_FI_DEV_FB_USED", "{{Hostname}} {{gpu}}"),),
        ),
        Panel(
            "Power",
            "What the GPU draws.",
            "watt",
            (Query("DCGM_FI_DEV_POWER_USAGE", "{{Hostname}} {{gpu}}"),),
        ),
    ),
    needs="dcgm-exporter",
)
