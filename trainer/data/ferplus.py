"""FER+: the FER2013 photos with the votes of ten taggers each.

Barsoum, Zhang, Canton Ferrer, Zhang: "Training Deep Networks for Facial Expression Recognition
with Crowd-Sourced Label Distribution", ICMI 2016, https://github.com/microsoft/FERPlus.
Images: Goodfellow et al., "Challenges in Representation Learning", 2013.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from contract.errors import UsageError

CLASSES = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
)  # fmt: skip
SIDE_PX = 48

Split = Literal["train", "valid", "test"]
Votes = Literal["new", "old"]

_VOTES = (*CLASSES, "unknown", "NF")  # NF: not a face
_MOST_VOTES = 1_000_000  # far more than ten taggers gave, far less than an int64 holds
HEADER = ["Usage", "Image name", *_VOTES]
FOLDERS: dict[Split, str] = {
    "train": "FER2013Train",
    "valid": "FER2013Valid",
    "test": "FER2013Test",
}
USAGES: dict[Split, str] = {
    "train": "Training",
    "valid": "PublicTest",
    "test": "PrivateTest",
}


@dataclass(frozen=True, slots=True)
class FerPlusSplit:
    """One split as arrays; row i of each belongs together.

    ids             image names without suffix, in the order of the votes file
    images          (N, 48, 48) uint8 gray
    votes           (N, 10) int64: the eight `CLASSES`, then unknown and not-a-face
    unnamed         rows of the votes file without an image name: FER+ found no face there
    without_image   rows whose image is not in the data
    unreadable      rows whose image is damaged or not 48x48
    """

    ids: tuple[str, ...]
    images: npt.NDArray[np.uint8]
    votes: npt.NDArray[np.int64]
    unnamed: int = 0
    without_image: int = 0
    unreadable: int = 0


class _Row(NamedTuple):
    name: str
    votes: tuple[int, ...]


def read_split(path: Path, split: Split, votes: Votes = "new") -> FerPlusSplit:
    """One split of the FER+ zip or its unpacked folder.

    votes     "new" = `fer2013new.csv`, "old" = the `label.csv` in the split's folder: the two
              differ in 8 % of the test rows

    Raises `UsageError` naming what is missing or malformed.
    """
    with _opened(path) as root:
        folder = root / FOLDERS[split]
        rows = list(_new_rows(root, path, split) if votes == "new" else _old_rows(folder, path))
        if not folder.is_dir():
            raise UsageError(f"{path}: expected the folder {FOLDERS[split]} in it, found none")
        named = [row for row in rows if row.name]
        found: list[tuple[_Row, npt.NDArray[np.uint8]]] = []
        without_image = unreadable = 0
        for row in named:
            try:
                data = (folder / row.name).read_bytes()
            except (FileNotFoundError, KeyError):  # a folder raises the one, a zip the other
                without_image += 1
                continue
            except (OSError, zipfile.BadZipFile, zlib.error):
                data = b""
            image = _decoded(data)
            if image is None:
                unreadable += 1
            else:
                found.append((row, image))
    if not found:
        raise UsageError(
            f"{path}: expected images in {FOLDERS[split]}, found none of the {len(named):,} "
            f"that the votes name ({unreadable:,} unreadable)"
        )
    return FerPlusSplit(
        ids=tuple(Path(row.name).stem for row, _ in found),
        images=np.stack([image for _, image in found]),
        votes=np.array([row.votes for row, _ in found], np.int64),
        unnamed=len(rows) - len(named),
        without_image=without_image,
        unreadable=unreadable,
    )


def majority(votes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The class (N,) int64 that votes (N, 10) agree on, an index into `CLASSES`; -1 for none.

    The majority rule of the FER+ paper: single votes are dropped as slips, then the top class must
    hold more than half of what is left, and not be unknown or not-a-face.
    """
    kept = np.where(votes > 1, votes, 0)
    top = kept.argmax(axis=1)
    agreed = 2 * kept.max(axis=1, initial=0) > kept.sum(axis=1)
    return np.where(agreed & (top < len(CLASSES)), top, -1)


@contextmanager
def _opened(path: Path) -> Iterator[Traversable]:
    """The folder that holds the split folders, in a zip or on disk."""
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    if path.is_dir():
        yield _root(path, path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UsageError(f"{path}: expected the FER+ zip or its folder: {error}") from error
    with archive:
        yield _root(zipfile.Path(archive), path)


def _root(top: Traversable, path: Path) -> Traversable:
    for root in (top, top / "data"):
        if any((root / folder).is_dir() for folder in FOLDERS.values()):
            return root
    wanted = ", ".join(FOLDERS.values())
    raise UsageError(f"{path}: expected {wanted} in it or in its data folder, found none")


def _new_rows(root: Traversable, path: Path, split: Split) -> Iterator[_Row]:
    source = f"{path}: fer2013new.csv"
    lines = _lines(root / "fer2013new.csv", source)
    header = next(lines, [])
    if header != HEADER:
        raise UsageError(f"{source}: expected the columns {','.join(HEADER)}, got {header!r}")
    for number, line in enumerate(lines, start=2):
        if line and line[0] == USAGES[split]:
            yield _row(line[1] if len(line) > 1 else "", line, source, number)


def _old_rows(folder: Traversable, path: Path) -> Iterator[_Row]:
    source = f"{path}: {folder.name}/label.csv"
    for number, line in enumerate(_lines(folder / "label.csv", source), start=1):
        # The second column is the face's box, the whole picture in every row of FER+.
        yield _row(line[0], line, source, number)


def _lines(file: Traversable, source: str) -> Iterator[list[str]]:
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, KeyError) as error:
        raise UsageError(f"{source}: no such file") from error
    except (OSError, zipfile.BadZipFile, zlib.error, UnicodeDecodeError) as error:
        raise UsageError(f"{source}: cannot read it: {error}") from error
    try:
        yield from filter(None, csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise UsageError(f"{source}: cannot read it: {error}") from error


def _row(name: str, line: list[str], source: str, number: int) -> _Row:
    name = name.strip()
    if "/" in name or "\0" in name:
        raise UsageError(f"{source}: row {number}: expected an image's file name, got {name!r}")
    return _Row(name, vote_counts(line, source, number))


def vote_counts(line: list[str], source: str, number: int) -> tuple[int, ...]:
    """The ten votes in a row of a votes file. Raises `UsageError` naming the row."""
    try:
        counts = tuple(int(cell) for cell in line[2:])
    except ValueError:
        counts = ()
    if len(counts) != len(_VOTES) or min(counts) < 0 or max(counts) > _MOST_VOTES:
        raise UsageError(f"{source}: row {number}: expected {len(_VOTES)} votes, got {line[2:]!r}")
    return counts


def _decoded(data: bytes) -> npt.NDArray[np.uint8] | None:
    if not data:
        return None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None or image.shape != (SIDE_PX, SIDE_PX):
        return None
    return np.asarray(image, np.uint8)
