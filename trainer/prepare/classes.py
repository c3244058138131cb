"""Which classes a pack has, which one each image is of, and classes that cannot be trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from contract.artifact import check_labels
from contract.errors import UsageError
from trainer.data.labels import read_label_map
from trainer.data.record import Reading, Record
from trainer.pack import NO_MAJORITY
from trainer.pack_writer import majority
from trainer.prepare.cropping import Refused
from trainer.prepare.options import Preparation


def labels_of(what: Preparation, records: Sequence[Record]) -> tuple[str, ...]:
    """The classes of a pack, in its order. Raises `UsageError` for fewer than two."""
    seen = {label for record in records for label, _ in record.votes}
    labels = what.labels or read_label_map(what.label_map).sorted(seen)
    if len(labels) < 2:
        raise UsageError(f"{what.data}: expected at least 2 classes, found only {labels[0]}")
    try:
        return check_labels(labels)
    except ValueError as error:
        raise UsageError(f"{what.data}: {error}") from error


def agreed_label(record: Record, labels: Sequence[str]) -> str:
    """The label that voters agree on, "" for none."""
    if record.truth is not None:
        return record.truth
    votes = dict(record.votes)
    row = np.array([[votes.get(label, 0.0) for label in labels]], np.float32)
    best = int(majority(row, np.array([record.unsure], np.float32))[0])
    return "" if best == NO_MAJORITY else labels[best]


def refuse_empty(
    what: Preparation,
    labels: Sequence[str],
    agreed: Sequence[str],
    reading: Reading,
    refused: Sequence[Refused],
) -> None:
    """Raise `UsageError` for a class that is in none of the `agreed` labels."""
    usable = set(agreed)
    empty = [label for label in labels if label not in usable]
    if empty:
        others = [label for label in labels if label in usable]
        hint = f"; --labels {','.join(others)} leaves it out" if len(others) > 1 else ""
        raise UsageError(
            f"{what.data}: no image of {', '.join(empty)} can be used "
            f"({reasons(reading, refused)}){hint}"
        )


def reasons(reading: Reading, refused: Sequence[Refused]) -> str:
    """Why most of what could not be used could not, for a message."""
    found = reading.unmatched + Counter(refusal.reason for refusal in refused)
    return ", ".join(f"{why}: {count:,}" for why, count in found.most_common(3)) or "none agreed"
