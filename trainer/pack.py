"""The pack: one file with every crop of a data set, its votes and its split, ready to train from.

Only numpy and OpenCV are needed here: a machine with a GPU need not have the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from contract.errors import PackError
from trainer.pack_format import (
    DTYPES,
    FORMAT,
    MAGIC,
    PREFIX,
    Fingerprint,
    Gray,
    decoded,
    pixels_digest,
)

SPLITS = ("train", "valid", "test")
NO_MAJORITY = -1
NO_PERSON = -1

Split = Literal["train", "valid", "test"]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_ROWS_A_TASK = 256


@dataclass(frozen=True, slots=True)
class PackHeader:
    """What a pack is.

    format        version of the file's layout
    name          short name of the data
    labels        the classes in the order of the columns of `votes`
    side_px       crops are square, this wide and high
    made          how it was made: data set, reader, options, versions; plain JSON
    fingerprint   sha256, in hexadecimal, of pixels, votes, splits and names; not of `made`
    """

    format: int
    name: str
    labels: tuple[str, ...]
    side_px: int
    made: Mapping[str, Any]
    fingerprint: str


class Pack:
    """A pack, read in place. `Pack.open` makes one. Threads may share it.

    header   what it is
    votes    (N, labels) float32: how many votes each label got
    unsure   (N,) float32: votes for none of the labels (unknown, not a face)
    truth    (N,) int64: the label most votes agree on, -1 where they do not agree
    person   (N,) int32: index into `persons`, -1 where the data names none
    """

    def __init__(
        self, path: Path, header: PackHeader, data: Gray, tables: Mapping[str, npt.NDArray[Any]]
    ) -> None:
        self.path = path
        self.header = header
        self.votes: Floats = tables["votes"]
        self.unsure: Floats = tables["unsure"]
        self.truth: Ints = tables["truth"]
        self.person: npt.NDArray[np.int32] = tables["person"]
        self._data = data
        self._ends = tables["ends"]
        self._split = tables["split"]
        self._text = tables["text"]

    @classmethod
    def open(cls, path: Path) -> Pack:
        """Map a pack. Raises `PackError` naming the file and what is wrong with it."""
        try:
            data = np.memmap(path, np.uint8, "r")
        except FileNotFoundError as error:
            raise PackError(f"{path}: no such pack") from error
        except (OSError, ValueError) as error:  # ValueError: an empty file
            raise PackError(f"{path}: cannot read the pack: {error}") from error
        index = _index(path, data)
        try:
            header = PackHeader(
                format=FORMAT,
                name=str(index["name"]),
                labels=tuple(map(str, index["labels"])),
                side_px=int(index["side_px"]),
                made=dict(index["made"]),
                fingerprint=str(index["fingerprint"]),
            )
            tables = {
                name: _table(data, dtype, **index["tables"][name]) for name, dtype in DTYPES.items()
            }
            pack = cls(path, header, data, tables)
            pack._check_shapes()
        except (KeyError, TypeError, ValueError) as error:
            raise PackError(f"{path}: the pack's index is damaged: {error!r}") from error
        return pack

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.header.labels

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Where each crop came from: the image's name in its data set."""
        return tuple(self._names["ids"])

    @cached_property
    def persons(self) -> tuple[str, ...]:
        """The names that `person` points at."""
        return tuple(self._names["persons"])

    def split(self, name: Split) -> Ints:
        """The rows of "train", "valid" or "test", rising; frozen when the pack was made."""
        return np.flatnonzero(self._split == SPLITS.index(name)).astype(np.int64)

    def image(self, row: int) -> Gray:
        """One crop, (side, side) uint8. Raises `PackError` when its bytes are damaged."""
        image = decoded(self.encoded(row))
        side = self.header.side_px
        if image is None or image.shape != (side, side):
            raise PackError(f"{self.path}: crop {row} ({self.ids[row]}) is damaged")
        return image

    def images(self, rows: npt.ArrayLike, *, threads: int = 1) -> Gray:
        """The crops of `rows`, (n, side, side) uint8; `threads` decode at once."""
        wanted = np.asarray(rows, np.int64)
        side = self.header.side_px
        found = np.empty((len(wanted), side, side), np.uint8)

        def fill(start: int) -> None:
            for place, row in enumerate(wanted[start : start + _ROWS_A_TASK].tolist(), start):
                found[place] = self.image(row)

        starts = range(0, len(wanted), _ROWS_A_TASK)
        if threads == 1 or len(starts) < 2:
            for start in starts:
                fill(start)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(fill, starts))
        return found

    def encoded(self, row: int) -> Gray:
        """The bytes of one crop as they lie in the file."""
        if not 0 <= row < len(self):
            raise IndexError(f"expected a row from 0 to {len(self) - 1}, got {row}")
        start = PREFIX.size if row == 0 else int(self._ends[row - 1])
        return self._data[start : int(self._ends[row])]

    def check(self) -> None:
        """Decode everything. Raises `PackError` when it is not what was packed."""
        content = Fingerprint(self.labels, self.header.side_px)
        for row in range(len(self)):
            person = int(self.person[row])
            content.add(
                pixels_digest(self.image(row)),
                self.votes[row],
                float(self.unsure[row]),
                int(self.truth[row]),
                int(self._split[row]),
                "" if person == NO_PERSON else self.persons[person],
                self.ids[row],
            )
        if content.hexdigest() != self.header.fingerprint:
            raise PackError(f"{self.path}: the content is not what its fingerprint says")

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        try:
            names: dict[str, list[str]] = json.loads(self._text.tobytes())
            if len(names["ids"]) == len(self) and max(self.person, default=NO_PERSON) < len(
                names["persons"]
            ):
                return names
        except (ValueError, KeyError, TypeError):
            pass
        raise PackError(f"{self.path}: the names in the pack are damaged")

    def _check_shapes(self) -> None:
        count, labels = len(self._ends), len(self.labels)
        shapes = [self.votes.shape, self.unsure.shape, self.truth.shape, self._split.shape]
        if shapes != [(count, labels), (count,), (count,), (count,)] or len(self.person) != count:
            raise ValueError(f"tables of {shapes} for {count} crops")
        starts = np.concatenate([[PREFIX.size], self._ends[:-1]])
        if (self._ends < starts).any() or (count and int(self._ends[-1]) > len(self._data)):
            raise ValueError("crops out of order")


def _index(path: Path, data: Gray) -> dict[str, Any]:
    head = data[: PREFIX.size].tobytes()
    if not head.startswith(MAGIC) or len(head) < PREFIX.size:
        raise PackError(f"{path}: expected a pack made by emotion-trainer prepare")
    _, version, offset, length = PREFIX.unpack(head)
    if version != FORMAT:
        raise PackError(
            f"{path}: expected pack format {FORMAT}, got {version}: make it again with "
            "this version's emotion-trainer prepare"
        )
    if offset + length != len(data):
        raise PackError(
            f"{path}: expected {offset + length:,} bytes, got {len(data):,}: not copied whole?"
        )
    try:
        index = json.loads(data[offset:].tobytes())
    except ValueError as error:
        raise PackError(f"{path}: the pack's index is damaged: {error}") from error
    if not isinstance(index, dict):
        raise PackError(f"{path}: the pack's index is damaged: no object")
    return index


def _table(data: Gray, dtype: str, *, offset: int, shape: Sequence[int]) -> npt.NDArray[Any]:
    count = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(data, dtype, count, offset).reshape(shape)
