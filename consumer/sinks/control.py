"""What an instrument is told at one moment of a source's capture clock."""

from __future__ import annotations

from dataclasses import dataclass

from contract.affect import Affect
from contract.event import SourceRecord
from contract.smoothed import Person, Transition


@dataclass(frozen=True, slots=True)
class ControlFrame:
    """One source at the capture time `at_ns`.

    people    in the order of their tracks, with the values they had then; None in a frame that
              tells changes only
    room      the mood of all of them; None without people
    changes   what happened since the frame before, in order
    held      nothing was known of `at_ns` in time: the values are the last ones there were
    """

    source: str
    at_ns: int
    people: tuple[Person, ...] | None
    room: Affect | None
    changes: tuple[Transition | SourceRecord, ...] = ()
    held: bool = False
