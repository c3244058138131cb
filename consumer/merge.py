"""Several sources in one line."""

from __future__ import annotations

from contract.event import Record


class Merge:
    """As they come. No I/O."""

    def __init__(self, lateness_s: float = 0.2) -> None:
        self.late = 0

    def put(self, record: Record, now_s: float) -> list[Record]:
        return [record]

    def due(self, now_s: float) -> list[Record]:
        return []

    def next_due_s(self) -> float | None:
        return None

    def flush(self) -> list[Record]:
        return []
