"""A pack seen through a model's labels: which crops can be used, and what is true of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contract.errors import UsageError
from trainer.evaluate import Floats, Ints
from trainer.pack import Pack, Split


@dataclass(frozen=True, slots=True)
class Labelled:
    """Crops of one split that a model can be measured on; N of them, K classes of the model.

    rows      (N,) int64, rows of the pack
    truth     (N,) int64, index of the class most votes agree on
    targets   (N, K) float64, the votes as a distribution over the model's classes
    counts    what was used, and how many crops were left out and why
    """

    rows: Ints
    truth: Ints
    targets: Floats
    counts: dict[str, int]

    def __len__(self) -> int:
        return len(self.rows)


def labelled(
    pack: Pack, split: Split, labels: tuple[str, ...], *, limit: int | None = None
) -> Labelled:
    """The crops of `split` whose majority is one of `labels`, a model's, in their order.

    The pack may have fewer classes than the model, as other data sets do; crops of a class that
    the model does not know are left out and counted. `limit`: the first so many. Raises
    `UsageError` when nothing is left.
    """
    shared = [label for label in pack.labels if label in labels]
    if not shared:
        raise UsageError(
            f"{pack.path}: has the classes {', '.join(pack.labels)}, none of the model's "
            f"{', '.join(labels)}"
        )
    # Of each class of the pack its place in the model, -1 where it has none.
    places = np.array([labels.index(label) if label in labels else -1 for label in pack.labels])
    rows = pack.split(split)
    agreed = rows[pack.truth[rows] >= 0]
    known = agreed[places[pack.truth[agreed]] >= 0]
    used = known[:limit]
    if len(used) == 0:
        raise UsageError(f"{pack.path}: no crop of {split} has a majority for a class of the model")
    return Labelled(
        used,
        places[pack.truth[used]].astype(np.int64),
        _targets(pack.votes[used], places, len(labels)),
        {
            "used": len(used),
            "without majority": len(rows) - len(agreed),
            "unknown class": len(agreed) - len(known),
        },
    )


def _targets(votes: npt.NDArray[np.float32], places: Ints, classes: int) -> Floats:
    counted = np.zeros((len(votes), classes))
    for column, place in enumerate(places.tolist()):
        if place >= 0:
            counted[:, place] += votes[:, column]
    # A majority for a known class is one vote at least: no row is empty.
    return np.asarray(counted / counted.sum(axis=1, keepdims=True))
