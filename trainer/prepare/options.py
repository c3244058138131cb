"""What `prepare` is asked to do, and how it is watched and stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Protocol

from trainer.data.find import Format
from trainer.prepare.faces import Wanted
from trainer.prepare.splits import By


@dataclass(frozen=True, slots=True)
class Preparation:
    """What to prepare and how.

    data, out   the data set and the pack to write
    format      which reader
    faces       how the face in each image is found
    split       what decides the split
    labels      the classes in the pack's order; empty: those of the data
    label_map   a file with more label names
    limit       use about this many images only
    threads     that decode
    force       replace the pack, and drop what another run has left
    """

    data: Path
    out: Path
    format: Format = "auto"
    faces: Wanted = "auto"
    split: By = "auto"
    labels: tuple[str, ...] = ()
    label_map: Path | None = None
    limit: int | None = None
    threads: int = 2
    force: bool = False


class Stopped(Exception):
    """The user stopped it; what is done is kept."""


class Report(Protocol):
    """Told now and then how far `what` is."""

    def __call__(self, done: int, total: int, what: str = "cropping") -> None: ...


@dataclass(frozen=True, slots=True)
class Watch:
    """stop: set when the user wants it to end; report: is told how far it is."""

    stop: Event
    report: Report
