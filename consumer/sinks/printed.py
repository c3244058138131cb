"""Records on standard output, as one sink among others."""

from __future__ import annotations

from typing import Protocol

from consumer.sinks.sink import Unhurried
from contract.event import Record


class Printer(Protocol):
    """Writes a record; `consumer.table.EventTable` and `consumer.jsonl.JsonLines`."""

    def write(self, record: Record, /) -> None: ...


class Printed(Unhurried):
    """A `Sink` of records around a printer."""

    def __init__(self, printer: Printer) -> None:
        self.name = "standard output"
        self._printer = printer

    def write(self, record: Record, now_s: float) -> None:
        """Raises `BrokenPipeError` when nobody reads any more."""
        self._printer.write(record)

    def close(self) -> None:
        pass
