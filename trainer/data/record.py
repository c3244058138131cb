"""What every reader gives: one record an image, with where its bytes are and who voted for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from trainer.pack import Split

BoxEdges = tuple[float, float, float, float]  # left, top, right, bottom in pixels, upright
Votes = tuple[tuple[str, float], ...]  # label, count
# find: a photo, whose face the detector finds. close-up: the same with a margin put around it
# first. whole: the image is a crop already.
Faces = Literal["find", "close-up", "whole"]


MAX_EXAMPLES = 5
MAX_IMAGE_BYTES = 256 * 2**20  # more is refused, not read into memory
MAX_TABLE_BYTES = 2 * 2**30  # of labels; Kaggle's fer2013.csv has 300 MB


class Source(Protocol):
    """Where the bytes of a file are."""

    def read(self, limit: int = MAX_IMAGE_BYTES) -> bytes:
        """All of it. Raises `Unreadable`, also for more than `limit` bytes."""
        ...


class Unreadable(Exception):
    """A file's bytes cannot be had, or are no image; the text says why, in a few stable words."""


@dataclass(frozen=True, slots=True)
class Record:
    """One image that has labels.

    id         its name in the data set; different for each
    source     its bytes
    votes      how many votes each label got
    unsure     votes for none of the labels
    truth      the agreed label; "" for none; None = what `pack_writer.majority` says
    person     whose face it is, as the data names them
    split      the part the data set puts it in
    box        of the face that is meant, or how to read it
    uploader   the label the person who took the photo gave, which is not a vote
    """

    id: str
    source: Source
    votes: Votes
    unsure: float = 0.0
    truth: str | None = None
    person: str | None = None
    split: Split | None = None
    box: BoxEdges | Callable[[], BoxEdges | None] | None = None
    uploader: str | None = None

    def annotated_box(self) -> BoxEdges | None:
        """The box of the face that is meant, None where the data names none."""
        return self.box() if callable(self.box) else self.box


@dataclass(slots=True)
class Reading:
    """All a reader found.

    reader      "ferplus", "aihub", ...
    found       image files
    records     those with labels, in an order that is the same each time
    unmatched   what could not be used and why: a reason -> how many
    examples    a reason -> the names of the first few
    faces       how the face is found
    side_px     of the crops in the pack; None: as wide as the worker's
    about       who is shown and the like: a title -> a group -> how many
    kept_names  label names that are in no map and were kept as they are
    """

    reader: str
    found: int = 0
    records: list[Record] = field(default_factory=list)
    unmatched: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    faces: Faces = "find"
    side_px: int | None = None
    about: dict[str, Counter[str]] = field(default_factory=dict)
    kept_names: set[str] = field(default_factory=set)

    def reject(self, reason: str, name: str) -> None:
        """Count what cannot be used."""
        self.unmatched[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(name)
