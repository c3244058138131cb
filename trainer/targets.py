"""What the network should answer: a distribution over the labels for every training crop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from contract.errors import UsageError
from trainer.pack import NO_MAJORITY, Pack
from trainer.recipe import TrainSettings

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def training_rows(pack: Pack, settings: TrainSettings) -> Ints:
    """The rows of `pack` to learn from. Raises `UsageError` when a label has none."""
    rows = pack.split("train")
    voted = pack.votes[rows].sum(axis=1) > 0
    agreed = pack.truth[rows] != NO_MAJORITY
    rows = rows[voted if settings.ambiguous else voted & agreed]
    counts = np.bincount(pack.truth[rows][pack.truth[rows] >= 0], minlength=len(pack.labels))
    if empty := [label for label, count in zip(pack.labels, counts, strict=True) if count == 0]:
        raise UsageError(
            f"{pack.path}: expected training crops of every label, none of {', '.join(empty)}"
        )
    if len(pack.labels) < 2:
        raise UsageError(f"{pack.path}: expected two labels or more, got {len(pack.labels)}")
    return np.asarray(rows, np.int64)


def targets(pack: Pack, rows: Ints, settings: TrainSettings) -> Floats:
    """(rows, labels) float32, each row summing to 1."""
    labels = len(pack.labels)
    if settings.targets == "hard":
        found = np.eye(labels, dtype=np.float32)[pack.truth[rows]]
    else:
        votes = pack.votes[rows]
        heard = np.where(votes >= settings.min_votes, votes, 0)
        heard = np.where(heard.sum(axis=1, keepdims=True) > 0, heard, votes)
        found = heard / heard.sum(axis=1, keepdims=True)
    return np.asarray(found * (1 - settings.smoothing) + settings.smoothing / labels, np.float32)


def with_teachers(own: Floats, teachers: Sequence[Floats], share: float) -> Floats:
    """`own` targets (N, labels) mixed with the mean of teachers' answers (N, labels)."""
    if not teachers:
        return own
    return np.asarray((1 - share) * own + share * np.mean(teachers, axis=0), np.float32)


def log_shares(found: Floats) -> Floats:
    """log of each label's share of targets (N, labels): (labels,) float32."""
    return np.asarray(np.log(np.maximum(found.mean(axis=0), 1e-6)), np.float32)
