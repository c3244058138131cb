"""Events of one source in capture order."""

from __future__ import annotations

from contract.event import EmotionEvent, Record


class Order:
    """Leaves out what comes after its place has passed. No I/O."""

    def __init__(self, lateness_s: float = 0.2) -> None:
        self.late = 0
        self.missing = 0
        self._next: dict[tuple[str, str], int] = {}

    def put(self, record: Record, now_s: float) -> list[Record]:
        if isinstance(record, EmotionEvent):
            name = (record.source, record.session)
            expected = self._next.get(name, record.seq)
            if record.seq < expected:
                self.late += 1
                return []
            self.missing += record.seq - expected
            self._next[name] = record.seq + 1
        return [record]

    def due(self, now_s: float) -> list[Record]:
        return []

    def next_due_s(self) -> float | None:
        return None

    def flush(self) -> list[Record]:
        return []
