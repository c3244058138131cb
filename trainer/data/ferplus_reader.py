"""FER+ as records, in both of its layouts, and plain FER2013.

Either the folders `FER2013Train`, ... with a PNG each and `fer2013new.csv` (or, in older copies,
a `label.csv` in each folder), or Kaggle's `fer2013.csv` with the pixels as text and
`fer2013new.csv`, one row for each of its rows. Without the latter FER2013's own labels are taken.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from contract.errors import UsageError
from trainer.data.ferplus import CLASSES, FOLDERS, HEADER, SIDE_PX, USAGES, majority, vote_counts
from trainer.data.files import DataSet, File
from trainer.data.record import MAX_IMAGE_BYTES, MAX_TABLE_BYTES, Reading, Record, Unreadable
from trainer.pack import Split

KAGGLE_CLASSES = (
    "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral",
)  # fmt: skip
_KAGGLE_HEADER = ["emotion", "pixels", "Usage"]
_SPLITS: Mapping[str, Split] = {usage: split for split, usage in USAGES.items()}
_FOLDER_SPLITS: Mapping[str, Split] = {folder: split for split, folder in FOLDERS.items()}
_NOT_A_FACE = "FER+ found no face (a row without a name)"


@dataclass(frozen=True, slots=True)
class Pixels:
    """A 48x48 image out of a row of text, as a PGM."""

    pixels: bytes

    def read(self, limit: int = MAX_IMAGE_BYTES) -> bytes:
        if len(self.pixels) != SIDE_PX * SIDE_PX:
            raise Unreadable(f"not {SIDE_PX}x{SIDE_PX} pixels")
        return b"P5 %d %d 255\n" % (SIDE_PX, SIDE_PX) + self.pixels


@dataclass(frozen=True, slots=True)
class _Row:
    split: Split
    name: str  # without suffix; "" where FER+ found no face
    votes: tuple[int, ...]


def is_ferplus(data: DataSet) -> bool:
    """Whether these are FER+'s folders or Kaggle's `fer2013.csv`."""
    return any(
        file.base == "fer2013.csv"
        or (file.is_image and file.folder.rpartition("/")[2] in _FOLDER_SPLITS)
        for file in data.files
    )


def read_ferplus(data: DataSet) -> Reading:
    """Every image with votes. Raises `UsageError` naming what is missing or malformed."""
    tables = {file.base: file for file in data.files if file.suffix == ".csv"}
    new = None
    if file := tables.get("fer2013new.csv"):
        new = list(_new_rows(data, file))
    reading = Reading("ferplus", faces="whole", side_px=SIDE_PX)
    if any(file.is_image for file in data.files):
        _read_folders(data, new, reading)
    elif kaggle := tables.get("fer2013.csv"):
        _read_kaggle(data, kaggle, new, reading)
    else:
        raise UsageError(f"{data.path}: expected FER+'s images or fer2013.csv, found neither")
    return reading


def _read_folders(data: DataSet, rows: list[_Row] | None, reading: Reading) -> None:
    images: dict[tuple[Split, str], File] = {}
    for file in data.images():
        split = _FOLDER_SPLITS.get(file.folder.rpartition("/")[2])
        if split is None:
            reading.reject("an image in none of FER+'s folders", file.name)
        else:
            images[split, file.base.rpartition(".")[0]] = file
        reading.found += 1
    if rows is None:
        rows = [row for file in data.files if file.base == "label.csv" for row in _old(data, file)]
        reading.reader = "ferplus, old votes"
    if not rows:
        raise UsageError(
            f"{data.path}: expected fer2013new.csv or a label.csv with votes, got none"
        )
    uses: Counter[str] = Counter()
    for row in rows:
        image = images.get((row.split, row.name))
        if not row.name:
            reading.reject(_NOT_A_FACE, "")
        elif image is None:
            reading.reject("a row without an image", row.name)
        else:
            uses[image.name] += 1
            _add(
                reading, row, Record(_id(row, uses[image.name]), image.source, (), split=row.split)
            )
    for image in images.values():
        if not uses[image.name]:
            reading.reject("an image without a row", image.name)


def _id(row: _Row, use: int) -> str:
    # Three photos have two rows each, and the counts of the literature (25,060) count rows.
    return row.name if use == 1 else f"{row.name} #{use}"


def _read_kaggle(data: DataSet, file: File, rows: list[_Row] | None, reading: Reading) -> None:
    source = f"{data.path}: {file.name}"
    lines = _lines(data, file)
    if next(lines, None) != _KAGGLE_HEADER:
        raise UsageError(f"{source}: expected the columns {','.join(_KAGGLE_HEADER)}")
    if rows is None:
        reading.reader = "fer2013"
    uses: Counter[str] = Counter()
    count = 0
    for count, line in enumerate(lines, start=1):
        reading.found += 1
        try:
            emotion, text, usage = line
            pixels = Pixels(np.array(text.split(), np.uint8).tobytes())
            split, label = _SPLITS[usage], KAGGLE_CLASSES[int(emotion)]
        except (ValueError, KeyError, IndexError, OverflowError) as error:
            raise UsageError(
                f"{source}: row {count + 1}: expected a number from 0 to 6, pixels "
                f"and one of {', '.join(_SPLITS)}"
            ) from error
        record = Record(f"fer{count - 1:07}", pixels, ((label, 1.0),), split=split)
        if rows is None:
            reading.records.append(record)
        elif count > len(rows):
            reading.reject("an image without a row", record.id)
        elif not rows[count - 1].name:
            reading.reject(_NOT_A_FACE, record.id)
        else:
            row = rows[count - 1]
            uses[row.name] += 1
            _add(reading, row, Record(_id(row, uses[row.name]), pixels, (), split=row.split))
    for row in (rows or [])[count:]:
        reading.reject("a row without an image", row.name)


def _add(reading: Reading, row: _Row, record: Record) -> None:
    labels, unsure = row.votes[: len(CLASSES)], sum(row.votes[len(CLASSES) :])
    if not any(labels):
        reading.reject("no vote for any class", record.id)
        return
    agreed = int(majority(np.array([row.votes], np.int64))[0])
    reading.records.append(
        Record(
            record.id,
            record.source,
            tuple((CLASSES[i], float(count)) for i, count in enumerate(labels) if count),
            float(unsure),
            truth="" if agreed < 0 else CLASSES[agreed],
            split=record.split,
        )
    )


def _new_rows(data: DataSet, file: File) -> Iterator[_Row]:
    source = f"{data.path}: {file.name}"
    lines = _lines(data, file)
    if (header := next(lines, [])) != HEADER:
        raise UsageError(f"{source}: expected the columns {','.join(HEADER)}, got {header!r}")
    for number, line in enumerate(lines, start=2):
        if line[0] not in _SPLITS:
            raise UsageError(
                f"{source}: row {number}: expected one of {', '.join(_SPLITS)}, got {line[0]!r}"
            )
        yield _row(_SPLITS[line[0]], line[1] if len(line) > 1 else "", line, source, number)


def _old(data: DataSet, file: File) -> Iterator[_Row]:
    split = _FOLDER_SPLITS.get(file.folder.rpartition("/")[2])
    if split is None:
        return
    for number, line in enumerate(_lines(data, file), start=1):
        yield _row(split, line[0], line, f"{data.path}: {file.name}", number)


def _row(split: Split, name: str, line: list[str], source: str, number: int) -> _Row:
    return _Row(split, name.strip().rpartition(".")[0], vote_counts(line, source, number))


def _lines(data: DataSet, file: File) -> Iterator[list[str]]:
    # Two thousand numbers a row are longer than csv's limit for a field, not than ours.
    csv.field_size_limit(2**20)
    try:
        yield from filter(None, csv.reader(_text_lines(file.source.read(MAX_TABLE_BYTES))))
    except (csv.Error, ValueError, Unreadable) as error:
        raise UsageError(f"{data.path}: {file.name}: cannot read it: {error}") from error


def _text_lines(data: bytes) -> Iterator[str]:
    """The lines one by one: 300 MB as one str and its copies would take 2 GB."""
    start = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        yield data[start:end].decode()
        start = end
