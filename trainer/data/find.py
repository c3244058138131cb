"""Which reader a data set is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from contract.errors import UsageError
from trainer.data.aihub import is_aihub, read_aihub
from trainer.data.ferplus_reader import is_ferplus, read_ferplus
from trainer.data.files import DataSet, list_files
from trainer.data.folder import read_folder
from trainer.data.kface import is_kface, read_kface
from trainer.data.labels import LabelMap
from trainer.data.record import Reading
from trainer.data.table import find_table, read_table

Format = Literal["auto", "ferplus", "aihub", "kface", "table", "folder"]

_READERS: dict[str, Callable[[DataSet, LabelMap], Reading]] = {
    "ferplus": lambda data, _labels: read_ferplus(data),
    "aihub": read_aihub,
    "kface": read_kface,
    "table": read_table,
    "folder": read_folder,
}
# The narrowest first: all of them hold folders, too.
_SIGNS: dict[str, Callable[[DataSet], bool]] = {
    "ferplus": is_ferplus,
    "aihub": is_aihub,
    "kface": is_kface,
    "table": lambda data: find_table(data) is not None,
    "folder": lambda _data: True,
}


def read_data(path: Path, labels: LabelMap, wanted: Format = "auto") -> Reading:
    """All records of the data set at `path`; "auto" looks at the names.

    Raises `UsageError` naming the path when nothing is found or what is found is malformed.
    """
    data = _with_neighbours(list_files(path))
    if not any(file.is_image or file.suffix == ".csv" for file in data.files):
        bad = f"; {data.bad_zips[0]}" if data.bad_zips else ""
        raise UsageError(f"{path}: expected images, found none in {len(data.files):,} files{bad}")
    name = wanted if wanted != "auto" else next(n for n, fits in _SIGNS.items() if fits(data))
    reading = _READERS[name](data, labels)
    for fault in data.bad_zips:
        reading.reject("a zip that cannot be opened", fault)
    for file in data.files:
        if file.suffix == ".zip":
            reading.reject("a zip inside a zip", file.name)
    if not reading.records:
        reasons = ", ".join(f"{why} ({n:,})" for why, n in reading.unmatched.most_common(3))
        raise UsageError(f"{path}: as {name}: no image has a label: {reasons or 'nothing there'}")
    return reading


def _with_neighbours(data: DataSet) -> DataSet:
    """A single CSV stands for the folder it lies in."""
    if len(data.files) == 1 and data.path.is_file() and data.files[0].suffix == ".csv":
        return list_files(data.path.resolve().parent)
    return data
