"""A CSV with a row an image: `path,label[,person,split]`, in any order, beside the images."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from contract.errors import UsageError
from trainer.data.files import DataSet, File, composed, text_of
from trainer.data.folder import split_of
from trainer.data.labels import LEFT_OUT, UNSURE, LabelMap
from trainer.data.record import MAX_TABLE_BYTES, Reading, Record, Unreadable

_NEEDED = ("path", "label")


def find_table(data: DataSet) -> File | None:
    """The CSV with the columns path and label that is nearest the top."""
    tables = [file for file in data.files if file.suffix == ".csv" and _has_columns(file)]
    return min(tables, key=lambda file: (file.name.count("/"), file.name), default=None)


def read_table(data: DataSet, labels: LabelMap) -> Reading:
    """Every image with a row. Raises `UsageError` naming the table and what is wrong with it."""
    table = find_table(data)
    if table is None:
        raise UsageError(f"{data.path}: expected a CSV with the columns path,label, found none")
    source = f"{data.path}: {table.name}"
    reading = Reading("table")
    images = {file.name: file for file in data.images()}
    reading.found = len(images)
    used: set[str] = set()
    try:
        # Without newline="" a line break within quotes would be another one on Windows.
        rows = csv.DictReader(io.StringIO(_text(table), newline=""))
        rows.fieldnames = [_column(name) for name in rows.fieldnames or ()]
        for row in rows:
            _add(reading, row, table, images, used, labels)
    except (csv.Error, ValueError, Unreadable) as error:
        raise UsageError(f"{source}: cannot read it: {error}") from error
    for name in images.keys() - used:
        reading.reject("an image without a row", name)
    return reading


def _add(
    reading: Reading,
    row: Mapping[str, str | None],
    table: File,
    images: Mapping[str, File],
    used: set[str],
    labels: LabelMap,
) -> None:
    path, name = _cell(row, "path"), _cell(row, "label")
    if not path or not name:
        reading.reject("a row without path or label", path)
        return
    found = _resolved(path, table, images)
    if found is None:
        reading.reject("a row without an image", path)
    elif found in used:
        reading.reject("the same row twice", path)
    else:
        used.add(found)
        label = labels.get_or_keep(name)
        if labels.get(name) is None:
            reading.kept_names.add(name)
        if label in (LEFT_OUT, UNSURE):
            reading.reject(f"left out by the label map: {name}", path)
            return
        split = _cell(row, "split") or _cell(row, "usage")
        reading.records.append(
            Record(
                id=found,
                source=images[found].source,
                votes=((label, 1.0),),
                person=_cell(row, "person") or None,
                split=split_of(split) if split else None,
            )
        )


def _resolved(path: str, table: File, images: Mapping[str, File]) -> str | None:
    """The image's name; paths start at the table's folder, or at the data set's top."""
    parts = [part for part in composed(path).replace("\\", "/").split("/") if part not in ("", ".")]
    plain = "/".join(parts)
    for name in (f"{table.folder}/{plain}" if table.folder else plain, plain):
        if name in images:
            return name
    return None


def _has_columns(file: File) -> bool:
    try:
        first = _text(file).partition("\n")[0]
    except (Unreadable, ValueError):
        return False
    columns = {_column(name) for name in next(csv.reader([first]), [])}
    return columns.issuperset(_NEEDED)


def _text(file: File) -> str:
    return text_of(file.source.read(MAX_TABLE_BYTES))


def _column(name: str) -> str:
    return name.strip().casefold()


def _cell(row: Mapping[str, str | None], column: str) -> str:
    return (row.get(column) or "").strip()
