"""What one run measured, and how runs are compared."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# Runs whose faces per frame lie further apart have not done the same work.
MOST_DIFFERENCE = 0.1


class NotComparable(Exception):
    """Two runs did different work; the message says which and how different."""


@dataclass(frozen=True, slots=True)
class Run:
    """One pass over the footage.

    begin_ns, end_ns   wall clock in ns: the first frame's capture, the last frame's result
    cpu_s              of all processes together, between these two
    rss                most MiB resident at once, of all processes; shared pages count in each
    largest_rss        the same of the largest process: of a pipeline its worker
    engine             what ran the networks
    shape              how the work was cut, where there is a choice
    """

    frames: int
    faces: int
    begin_ns: int
    end_ns: int
    cpu_s: float = 0.0
    rss: float = 0.0
    largest_rss: float = 0.0
    engine: str = ""
    shape: str = ""

    @property
    def frames_per_s(self) -> float:
        return self.frames * 1e9 / (self.end_ns - self.begin_ns)

    @property
    def faces_per_frame(self) -> float:
        return self.faces / self.frames

    @property
    def cpu_s_per_1000(self) -> float:
        """CPU seconds for 1,000 frames."""
        return self.cpu_s * 1000 / self.frames


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and most of some values."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Raises `ValueError` without values."""
        if not values:
            raise ValueError("expected at least one value")
        return cls(statistics.median(values), min(values), max(values))

    def text(self, form: str = "{:.1f}") -> str:
        """``12.3 (11.9-12.8)``, or ``12.3`` when all are the same."""
        if self.least == self.most:
            return form.format(self.median)
        low, high = form.format(self.least), form.format(self.most)
        return f"{form.format(self.median)} ({low}-{high})"


def ratios(runs: Sequence[Run], others: Sequence[Run]) -> list[float]:
    """How many times faster `runs` were than `others`, round by round.

    Raises `NotComparable` when they saw different numbers of faces per frame.
    """
    require_same_work(runs, others)
    return [a.frames_per_s / b.frames_per_s for a, b in zip(runs, others, strict=True)]


def require_same_work(runs: Sequence[Run], others: Sequence[Run]) -> None:
    """Raises `NotComparable` when the two saw different numbers of faces per frame."""
    ours = statistics.mean(run.faces_per_frame for run in runs)
    theirs = statistics.mean(run.faces_per_frame for run in others)
    if abs(ours - theirs) > MOST_DIFFERENCE:
        raise NotComparable(f"{ours:.2f} faces a frame against {theirs:.2f}")
