"""Crops that are in two parts of a pack: a model measured on them has seen them before."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainer.pack import Pack, Split
from trainer.prepare.duplicates import coarse_hash, fine_hash, grouped, near_duplicates

_ROWS_AT_ONCE = 4096


def twins(pack: Pack, split: Split) -> npt.NDArray[np.int64]:
    """The rows of `split` of which a crop nearly alike is in another part of the pack, rising.

    Found as `emotion-trainer prepare` finds them, by perceptual hashes; crops that are alike
    through others are one group. Decodes the whole pack: 35,711 crops of FER+ take three seconds.
    """
    coarse: list[bytes] = []
    fine: list[bytes] = []
    for start in range(0, len(pack), _ROWS_AT_ONCE):
        rows = np.arange(start, min(start + _ROWS_AT_ONCE, len(pack)))
        for crop in pack.images(rows):
            coarse.append(coarse_hash(crop))
            fine.append(fine_hash(crop))
    here = np.zeros(len(pack), bool)
    here[pack.split(split)] = True
    found = [
        row
        for group in grouped(near_duplicates(coarse, fine))
        if not here[group].all()
        for row in group
        if here[row]
    ]
    return np.array(sorted(found), np.int64)
