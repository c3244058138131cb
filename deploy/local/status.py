"""How the system does, beside what its events say: what the view and the summary show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from contract.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Counts:
    """Frames of this run in all partitions: the snapshot's counts less those before it began.

    ``published == events + dead + sum(dropped.values()) + backlog`` on a server of our own; on a
    shared one other producers' frames are counted too.
    """

    published: int = 0
    events: int = 0
    dead: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    redelivered: int = 0
    backlog: int = 0

    @classmethod
    def between(cls, before: Sequence[Snapshot], now: Sequence[Snapshot]) -> Counts:
        """What was counted from `before` to `now`, one snapshot per partition each.

        Frames that waited already before we came count as published by this run, because this run's
        workers settle them: otherwise the sum would not add up.
        """
        reasons = {reason for snapshot in now for reason in snapshot.dropped}
        dropped = {
            reason: sum(s.dropped.get(reason, 0) for s in now)
            - sum(s.dropped.get(reason, 0) for s in before)
            for reason in sorted(reasons)
        }
        return cls(
            published=sum(s.published for s in now)
            - sum(s.published for s in before)
            + sum(s.backlog for s in before),
            events=sum(s.events for s in now) - sum(s.events for s in before),
            dead=sum(s.dead for s in now) - sum(s.dead for s in before),
            dropped={reason: count for reason, count in dropped.items() if count},
            refused=sum(s.refused for s in now) - sum(s.refused for s in before),
            redelivered=sum(s.redelivered for s in now) - sum(s.redelivered for s in before),
            backlog=sum(s.backlog for s in now),
        )

    @property
    def unaccounted(self) -> int:
        """0 as long as no frame got lost."""
        settled = self.events + self.dead + sum(self.dropped.values())
        return self.published - settled - self.backlog


@dataclass(frozen=True, slots=True)
class Status:
    """The moment's state of the parts.

    phase   "loading" until the workers are ready, "running", then "stopping"
    """

    phase: str
    workers: int
    workers_ready: int
    counts: Counts
    running_s: float
