"""What all queries share: the variables at the top of the dashboard, and quantiles."""

from __future__ import annotations

from deploy.grafana.panel import Query

# `.*` also takes series without the label; `namespace` is Kubernetes'.
ALL = 'namespace=~"$namespace"'
SOURCE = f'{ALL}, source=~"$source"'
WORKER = f'{ALL}, instance=~"$worker"'
PACE = "[$__rate_interval]"


def quantiles(buckets: str) -> tuple[Query, ...]:
    """p50, p95 and p99 of the rates of a histogram's buckets, by `le`."""
    return tuple(
        Query(f"histogram_quantile({share}, {buckets})", f"p{share * 100:g}")
        for share in (0.5, 0.95, 0.99)
    )
