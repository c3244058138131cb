"""People as comma-separated values, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TextIO

from consumer.sinks.sink import Unhurried
from contract.affect import Range
from contract.smoothed import Person, Signal, SmoothedEvent

_FIXED = (
    "captured_at", "captured_at_ns", "media_s", "source", "session", "seq", "track", "voice",
    "seen", "label", "valence", "arousal", "room_valence", "room_arousal",
    "left", "top", "right", "bottom",
)  # fmt: skip


class CsvTable(Unhurried):
    """A row for each person in each frame; RFC 4180, with a header.

    Times are ISO 8601 in UTC to the microsecond, and nanoseconds since the epoch; `media_s` is the
    place in the file. One column ``p_<emotion>`` for each emotion of the first person: the smoothed
    probabilities. Frames without people, transitions and source records have no row.
    """

    def __init__(self, stream: TextIO, name: str = "csv", scale: Range = Range.SIGNED) -> None:
        self.name = name
        self._stream = stream
        self._rows = csv.writer(stream)
        self._scale = scale
        self._labels: Sequence[str] | None = None

    def write(self, signal: Signal, now_s: float) -> None:
        """Raises `OSError` when the file cannot be written."""
        if not isinstance(signal, SmoothedEvent):
            return
        for person in signal.people:
            if self._labels is None:
                self._head(tuple(person.scores))
            self._rows.writerow(self._row(signal, person))
        self._stream.flush()

    def close(self) -> None:
        if self._labels is None:
            self._head(())
        self._stream.flush()

    def _head(self, labels: Sequence[str]) -> None:
        self._labels = labels
        self._rows.writerow([*_FIXED, *(f"p_{label}" for label in labels)])

    def _row(self, event: SmoothedEvent, person: Person) -> list[object]:
        room, scale, box = event.room, self._scale, person.box
        captured = datetime.fromtimestamp(event.captured_at_ns // 1_000_000_000, UTC)
        micros = event.captured_at_ns % 1_000_000_000 // 1000
        return [
            f"{captured:%Y-%m-%dT%H:%M:%S}.{micros:06d}Z",
            event.captured_at_ns,
            "" if event.pts_ns is None else f"{event.pts_ns / 1e9:.6f}",
            event.source,
            event.session,
            event.seq,
            person.track,
            person.voice,
            int(person.seen),
            person.label,
            *(f"{scale(x):.4f}" for x in (person.valence, person.arousal)),
            *(
                ("", "")
                if room is None
                else (f"{scale(x):.4f}" for x in (room.valence, room.arousal))
            ),
            box.left,
            box.top,
            box.right,
            box.bottom,
            *(f"{person.scores.get(label, 0.0):.4f}" for label in self._labels or ()),
        ]
