"""How late, as three numbers. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of capture-to-event latencies, in seconds."""

    p50_s: float
    p95_s: float
    p99_s: float

    @classmethod
    def of(cls, values_s: Iterable[float]) -> Percentiles | None:
        """None if there are no values."""
        ordered = sorted(values_s)
        if not ordered:
            return None
        return cls(_quantile(ordered, 0.50), _quantile(ordered, 0.95), _quantile(ordered, 0.99))


def _quantile(ordered: Sequence[float], part: float) -> float:
    """Linear between the two nearest ranks, as numpy's default."""
    at = part * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
