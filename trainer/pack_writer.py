"""Writes a pack: under its own name only when it is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from contract.errors import PackError
from trainer.pack import NO_MAJORITY, NO_PERSON, SPLITS, Floats, Ints, Pack, Split
from trainer.pack_format import (
    ALIGNMENT,
    FORMAT,
    MAGIC,
    PREFIX,
    Fingerprint,
    Gray,
    decoded,
    encode,
    pixels_digest,
)


class PackWriter:
    """Appends crops to a hidden file beside `path`; `finish` gives it the name.

    Used as a context manager: what is left without `finish` is removed.

    Raises `PackError` when the disk is full or the folder cannot be written.
    """

    def __init__(
        self,
        path: Path,
        labels: Sequence[str],
        side_px: int,
        *,
        name: str | None = None,
        made: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = path
        self._labels = tuple(labels)
        self._side_px = side_px
        self._name = path.stem if name is None else name
        self._made = dict(made or {})
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._content = Fingerprint(self._labels, side_px)
        self._ends: list[int] = []
        self._votes: list[Floats] = []
        self._unsure: list[float] = []
        self._truth: list[int] = []
        self._split: list[int] = []
        self._person: list[int] = []
        self._persons: dict[str, int] = {}
        self._ids: list[str] = []
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
            self._file.write(bytes(PREFIX.size))
        self._position = PREFIX.size

    def add(
        self,
        image: Gray | bytes,
        votes: npt.ArrayLike,
        split: Split,
        person: str | None,
        image_id: str,
        *,
        unsure: float = 0.0,
        truth: int | None = None,
    ) -> None:
        """Append one crop: (side, side) uint8 gray, or what `encode` made of it.

        votes    (labels,) counts, not negative
        person   whose face it is, None if unknown
        unsure   votes for none of the labels
        truth    by default what `majority` says

        Raises `ValueError` for another shape.
        """
        row = np.asarray(votes, np.float32)
        if row.shape != (len(self._labels),) or not (row >= 0).all() or not unsure >= 0:
            raise ValueError(f"expected {len(self._labels)} votes >= 0, got {votes!r}, {unsure!r}")
        pixels = decoded(image) if isinstance(image, bytes) else image
        side = self._side_px
        if pixels is None or pixels.shape != (side, side) or pixels.dtype != np.uint8:
            got = "no image" if pixels is None else f"{pixels.shape} {pixels.dtype}"
            raise ValueError(f"{image_id}: expected a gray image ({side}, {side}) uint8, got {got}")
        if truth is None:
            truth = int(majority(row[None], np.array([unsure], np.float32))[0])
        code = SPLITS.index(split)
        data = image if isinstance(image, bytes) else encode(pixels)
        with self._explained():
            self._file.write(data)
        self._position += len(data)
        self._ends.append(self._position)
        self._votes.append(row)
        self._unsure.append(unsure)
        self._truth.append(truth)
        self._split.append(code)
        self._person.append(
            NO_PERSON if person is None else self._persons.setdefault(person, len(self._persons))
        )
        self._ids.append(image_id)
        digest = pixels_digest(pixels)
        self._content.add(digest, row, unsure, truth, code, person or "", image_id)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def fingerprint(self) -> str:
        """Of what was added so far."""
        return self._content.hexdigest()

    def finish(self) -> Pack:
        """Write the tables, put the file in place of any pack of that name, and open it."""
        text = json.dumps({"ids": self._ids, "persons": list(self._persons)}).encode()
        votes = np.array(self._votes, "<f4").reshape(len(self), len(self._labels))
        tables = {
            "ends": np.array(self._ends, "<u8"),
            "votes": votes,
            "unsure": np.array(self._unsure, "<f4"),
            "truth": np.array(self._truth, "<i8"),
            "split": np.array(self._split, "u1"),
            "person": np.array(self._person, "<i4"),
            "text": np.frombuffer(text, "u1"),
        }
        with self._explained():
            places = {name: self._append(table) for name, table in tables.items()}
            index = {
                "name": self._name,
                "labels": self._labels,
                "side_px": self._side_px,
                "made": self._made,
                "fingerprint": self._content.hexdigest(),
                "tables": places,
            }
            data = json.dumps(index, ensure_ascii=False).encode()
            self._file.write(data)
            self._file.seek(0)
            self._file.write(PREFIX.pack(MAGIC, FORMAT, self._position, len(data)))
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self.path)
        return Pack.open(self.path)

    def abort(self) -> None:
        """Remove what was written; nothing happens after `finish`."""
        # Closing writes what is buffered, which fails again on a full disk.
        with suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()

    def _append(self, table: npt.NDArray[Any]) -> dict[str, Any]:
        gap = -self._position % ALIGNMENT
        self._file.write(bytes(gap))
        offset = self._position + gap
        self._file.write(table.tobytes())
        self._position = offset + table.nbytes
        return {"offset": offset, "shape": table.shape}

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PackError(f"{self.path}: cannot write the pack: {error.strerror}") from error


def majority(votes: npt.NDArray[np.floating[Any]], unsure: npt.NDArray[np.floating[Any]]) -> Ints:
    """The label (N,) int64 with more than half of all votes (N, labels) and unsure (N,); else -1.

    FER+ has a rule of its own: `trainer.data.ferplus.majority`.
    """
    top = votes.argmax(axis=1)
    agreed = 2 * votes.max(axis=1, initial=0) > votes.sum(axis=1) + unsure
    return np.where(agreed, top, NO_MAJORITY).astype(np.int64)
