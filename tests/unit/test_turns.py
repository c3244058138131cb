"""What comes and what is due, in the order in which it can be understood."""

from __future__ import annotations

from collections.abc import Sequence

from consumer.turns import turns
from contract.event import Record, SourceRecord
from contract.smoothed import Signal


class Script:
    """Records and the times at which they were fetched; None: nothing was there."""

    is_away = False

    def __init__(self, *script: tuple[float, str | None]) -> None:
        self._script = list(script)
        self.fetched_at_s = 0.0

    @property
    def is_over(self) -> bool:
        return not self._script

    def next_record(self, timeout_s: float | None = None, /) -> Record | None:
        assert timeout_s is not None
        assert 0 <= timeout_s <= 0.5
        self.fetched_at_s, source = self._script.pop(0)
        return None if source is None else SourceRecord(source, "s", "started", 0)


class Told:
    """Writes down what it is asked, and answers with nothing or the record itself."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []

    def put(self, record: Record, now_s: float, /) -> Sequence[Signal]:
        self.calls.append((record.source, now_s))
        return [record] if isinstance(record, SourceRecord) else []

    def due(self, now_s: float, /) -> Sequence[Signal]:
        self.calls.append(("due", now_s))
        return []

    def flush(self, now_s: float, /) -> Sequence[Signal]:
        self.calls.append(("flush", now_s))
        return []

    def next_due_s(self) -> float | None:
        return None


def test_what_is_due_is_asked_when_all_that_came_until_then_was_put() -> None:
    chain = Told()
    script = Script((1.0, "a"), (1.0, "b"), (2.0, "c"), (2.0, "d"), (2.5, None))
    found = list(turns(script, chain, 0.5))
    assert chain.calls == [
        ("a", 1.0), ("b", 1.0), ("due", 1.0), ("c", 2.0), ("d", 2.0), ("due", 2.5), ("flush", 2.5)
    ]  # fmt: skip
    assert [turn.now_s for turn in found] == [1.0, 1.0, 2.0, 2.0, 2.5, 2.5]
    assert [turn.record is None for turn in found] == [False, False, False, False, True, True]


def test_without_a_chain_it_is_the_records() -> None:
    found = list(turns(Script((1.0, "a"), (1.2, None), (1.4, "b")), None, 0.5))
    assert [turn.record.source for turn in found if turn.record] == ["a", "b"]
    assert not any(turn.signals for turn in found)
