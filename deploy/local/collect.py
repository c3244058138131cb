"""Where every event of the run goes: the tally, and the files that were asked for."""

from __future__ import annotations

from collections.abc import Iterable

from contract.event import EmotionEvent, Record
from contract.smoothed import Signal
from deploy.local.annotate import Sightings
from deploy.local.events_file import EventsFile
from deploy.local.tally import Tally


class Collector:
    """Takes records in; `events_file` and `sightings` only if somebody wants them."""

    def __init__(self, events_file: EventsFile | None, sightings: Sightings | None) -> None:
        self.tally = Tally()
        self.sightings = sightings
        self._events_file = events_file

    def see(self, signals: Iterable[Signal]) -> None:
        """Take in who is there."""
        for signal in signals:
            self.tally.see(signal)

    def add(self, records: Iterable[Record], now_s: float) -> None:
        """Take in records that arrived at monotonic `now_s`."""
        for record in records:
            self.tally.add(record, now_s)
            if isinstance(record, EmotionEvent):
                if self._events_file is not None:
                    self._events_file.write(record)
                if self.sightings is not None:
                    self.sightings.add(record)
        if self._events_file is not None:
            self._events_file.flush()
