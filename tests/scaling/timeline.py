"""What a simulation saw, moment by moment, and the figures of it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Look:
    """One moment; times are real seconds since the start.

    replicas      workers there shall be
    ready         those of them that work
    backlog       frames in the stream, of which `pending` are in workers' hands
    latencies_s   capture to event of the events since the last look
    """

    at_s: float
    cameras: int
    replicas: int
    ready: int
    backlog: int
    pending: int
    latencies_s: tuple[float, ...]

    @property
    def waiting(self) -> int:
        """Frames that no worker has taken yet."""
        return self.backlog - self.pending


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the number of replicas, and who made it ("keda" or "hpa")."""

    at_s: float
    before: int
    after: int
    by: str


@dataclass(slots=True)
class Timeline:
    """Everything seen, and when each phase (name, cameras) began."""

    looks: list[Look] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    phases: list[tuple[str, float]] = field(default_factory=list)

    def span(self, phase: str) -> tuple[float, float]:
        """Begin and end of a phase."""
        names = [name for name, _ in self.phases]
        place = names.index(phase)
        begins = [at_s for _, at_s in self.phases] + [self.looks[-1].at_s + 1e-9]
        return begins[place], begins[place + 1]

    def of(self, phase: str) -> PhaseFigures:
        """The figures of a phase."""
        begin_s, end_s = self.span(phase)
        looks = [look for look in self.looks if begin_s <= look.at_s < end_s]
        changes = [change for change in self.changes if begin_s <= change.at_s < end_s]
        return PhaseFigures(begin_s, end_s, looks, changes)


@dataclass(frozen=True, slots=True)
class PhaseFigures:
    """One phase; times in real seconds."""

    begin_s: float
    end_s: float
    looks: list[Look]
    changes: list[Change]

    @property
    def rises(self) -> int:
        """How often the number of replicas began to rise, however many steps that took."""
        return self._turns(up=True)

    @property
    def falls(self) -> int:
        return self._turns(up=False)

    def _turns(self, *, up: bool) -> int:
        ways = [change.after > change.before for change in self.changes]
        return sum(way is up for way in ways[:1]) + sum(
            now is up and before is not up for before, now in pairwise(ways)
        )

    @property
    def most_replicas(self) -> int:
        return max(look.replicas for look in self.looks)

    @property
    def mean_replicas(self) -> float:
        return statistics.fmean(look.replicas for look in self.looks)

    @property
    def most_backlog(self) -> int:
        return max(look.backlog for look in self.looks)

    @property
    def steady_after_s(self) -> float | None:
        """From the begin until the backlog was worked off: after its peak, no frame that no worker
        has taken. None if that never came."""
        peak = max(self.looks, key=lambda look: look.waiting)
        for look in self.looks:
            if look.at_s >= peak.at_s and look.waiting == 0:
                return look.at_s - self.begin_s
        return None

    def latency_s(self, quantile: int, skip_s: float = 0.0) -> float | None:
        """A percentile of capture to event, from `skip_s` after the begin."""
        return percentile(
            (
                latency
                for look in self.looks
                if look.at_s >= self.begin_s + skip_s
                for latency in look.latencies_s
            ),
            quantile,
        )


def percentile(values: Iterable[float], quantile: int) -> float | None:
    """None of fewer than two values."""
    several = list(values)
    if len(several) < 2:
        return None
    return statistics.quantiles(several, n=100, method="inclusive")[quantile - 1]
