"""The same photo twice: perceptual hashes of crops, and the pairs that are nearly alike.

A hash holds, for a picture shrunk to a few pixels, whether each is darker than the one to its right
(dHash). It survives re-encoding, resizing and another brightness.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from trainer.pack_format import Gray

MAX_COARSE_BITS = (
    3  # of 64 that may differ: two hashes then share at least one of four 16-bit words
)
MAX_FINE_BITS = 16  # of 256
# Faces are alike, and some words are common: where more crops share one, each is compared with its
# neighbours in hash order only.
_MOST_COMPARED = 1024
_NEIGHBOURS = 8
_COARSE_SIDE, _FINE_SIDE = 8, 16

Pairs = npt.NDArray[np.int64]


def coarse_hash(crop: Gray) -> bytes:
    """The 64-bit hash of a gray crop."""
    return _hash(crop, _COARSE_SIDE)


def fine_hash(crop: Gray) -> bytes:
    """The 256-bit hash of a gray crop."""
    return _hash(crop, _FINE_SIDE)


def near_duplicates(coarse: Sequence[bytes], fine: Sequence[bytes]) -> Pairs:
    """The pairs of crops that are nearly alike, (P, 2) int64 rows with the first below the second.

    coarse, fine    the hashes of N crops
    """
    if len(coarse) < 2:
        return np.empty((0, 2), np.int64)
    narrow = np.frombuffer(b"".join(coarse), np.uint64).reshape(len(coarse), -1)
    wide = np.frombuffer(b"".join(fine), np.uint64).reshape(len(coarse), -1)
    # Of those with equal hashes one stands for all: a data set may hold thousands.
    order = np.lexsort((*wide.T, *narrow.T))
    both = np.concatenate([narrow, wide], axis=1)[order]
    edges = np.flatnonzero((both[1:] != both[:-1]).any(axis=1)) + 1
    found = [_neighbours(rows) for rows in np.split(order, edges) if len(rows) > 1]
    first = order[np.concatenate([[0], edges])]
    words = np.ascontiguousarray(narrow[first]).view(np.uint16)
    for column in range(words.shape[1]):
        line = np.lexsort((narrow[first, 0], words[:, column]))
        cuts = np.flatnonzero(np.diff(words[line, column])) + 1
        for start, end in pairwise([0, *cuts.tolist(), len(line)]):
            if end - start > 1:
                pairs = _candidates(first[line[start:end]])
                pairs = pairs[_differing(narrow, pairs) <= MAX_COARSE_BITS]
                found.append(pairs[_differing(wide, pairs) <= MAX_FINE_BITS])
    pairs = np.concatenate([np.empty((0, 2), np.int64), *found])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def grouped(pairs: Pairs) -> list[list[int]]:
    """The crops that pairs join, directly or through others, as rising rows."""
    leader: dict[int, int] = {}

    def lead(row: int) -> int:
        while (above := leader.setdefault(row, row)) != row:
            leader[row] = leader[above]  # shorter ways for those who come later
            row = above
        return row

    for first, second in pairs.tolist():
        one, other = lead(first), lead(second)
        leader[max(one, other)] = min(one, other)
    groups: dict[int, list[int]] = {}
    for row in sorted(leader):
        groups.setdefault(lead(row), []).append(row)
    return list(groups.values())


def _candidates(rows: npt.NDArray[np.int64]) -> Pairs:
    if len(rows) > _MOST_COMPARED:
        return _neighbours(rows)
    first, second = np.triu_indices(len(rows), 1)
    return np.stack([rows[first], rows[second]], axis=1)


def _neighbours(rows: npt.NDArray[np.int64]) -> Pairs:
    steps = range(1, min(_NEIGHBOURS, len(rows) - 1) + 1)
    near = [np.stack([rows[:-step], rows[step:]], axis=1) for step in steps]
    return np.concatenate(near)


def _differing(hashes: npt.NDArray[np.uint64], pairs: Pairs) -> npt.NDArray[np.int64]:
    bits = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]])
    return np.asarray(bits.sum(axis=1), np.int64)


def _hash(crop: Gray, side: int) -> bytes:
    small = cv2.resize(crop, (side + 1, side), interpolation=cv2.INTER_AREA)
    return np.packbits(small[:, :-1] < small[:, 1:]).tobytes()
