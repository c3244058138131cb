"""Signals as lines for people: a row a frame, and one for whoever comes, goes or changes."""

from __future__ import annotations

from typing import TextIO

from rich.text import Text

from consumer.sinks.sink import Unhurried
from consumer.table import RowPrinter, source_row
from contract.affect import Range
from contract.event import SourceRecord
from contract.palette import hex_colour_of
from contract.smoothed import Person, Signal, SmoothedEvent, Transition


class PeopleTable(Unhurried):
    """Writes a row for each signal; a person who is not seen just now is dim."""

    def __init__(self, stream: TextIO, scale: Range = Range.SIGNED) -> None:
        self.name = "standard output"
        self._rows = RowPrinter(stream, "people, and the mood of the room")
        self._scale = scale

    def write(self, signal: Signal, now_s: float) -> None:
        """Raises `BrokenPipeError` when nobody reads any more."""
        if isinstance(signal, SourceRecord):
            self._rows.write(signal.at_ns, signal.source, *source_row(signal))
        elif isinstance(signal, Transition):
            self._rows.write(signal.at_ns, signal.source, "", "", _transition(signal))
        else:
            latency_ms = (signal.published_at_ns - signal.captured_at_ns) / 1e6
            self._rows.write(
                signal.captured_at_ns,
                signal.source,
                str(signal.seq),
                f"{latency_ms:,.0f} ms",
                self._people(signal),
            )

    def close(self) -> None:
        pass

    def _people(self, event: SmoothedEvent) -> Text:
        if event.room is None:
            return Text("-", "dim")
        people = Text(", ").join(_person(person) for person in event.people)
        valence, arousal = self._scale(event.room.valence), self._scale(event.room.arousal)
        return people.append(f"   room {valence:+.2f} {arousal:+.2f}", "dim")


def _person(person: Person) -> Text:
    share = f"{person.scores.get(person.label, 0.0) * 100:.0f} %"
    style = hex_colour_of(person.label) if person.seen else "dim"
    return Text.assemble((f"{person.track} ", "dim"), (f"{person.label} {share}", style))


def _transition(transition: Transition) -> Text:
    who = f"person {transition.track}"
    if transition.change == "person_entered":
        return Text.assemble((f"{who} came: ", "bold"), _label(transition.label))
    if transition.change == "person_left":
        return Text(f"{who} left", "bold")
    return Text.assemble(
        (f"{who}: ", "bold"), _label(transition.before or "?"), " → ", _label(transition.label)
    )


def _label(label: str) -> tuple[str, str]:
    return label, hex_colour_of(label)
