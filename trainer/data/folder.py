"""A folder per class: `root/[split/]label/.../image`, in a folder or in a zip."""

from __future__ import annotations

from collections.abc import Sequence

from contract.errors import UsageError
from trainer.data.files import IGNORED, DataSet, File, composed
from trainer.data.labels import LEFT_OUT, UNSURE, LabelMap, plain
from trainer.data.record import Reading, Record
from trainer.pack import Split

SPLIT_NAMES: dict[str, Split] = {
    "train": "train", "training": "train", "publictrain": "train",
    "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid", "publictest": "valid",
    "test": "test", "testing": "test", "privatetest": "test",
}  # fmt: skip


def split_of(name: str) -> Split | None:
    """The part of a data set that a folder or a column calls `name`."""
    return SPLIT_NAMES.get(plain(name).replace(" ", ""))


def read_folder(data: DataSet, labels: LabelMap) -> Reading:
    """Every image under a folder that is its label. Raises `UsageError` when there is no such."""
    reading = Reading("folder")
    images = list(data.images())
    reading.found = len(images)
    depth = _common_depth(images)
    for file in images:
        folders = file.name.split("/")[depth:-1]
        split = split_of(folders[0]) if folders else None
        if split is not None:
            folders = folders[1:]
        if not folders:
            reading.reject("an image in no class's folder", file.name)
            continue
        label = labels.get_or_keep(folders[0])
        if labels.get(folders[0]) is None:
            reading.kept_names.add(folders[0])
        if label in (LEFT_OUT, UNSURE):
            reading.reject(f"left out by the label map: {folders[0]}", file.name)
            continue
        reading.records.append(Record(file.name, file.source, ((label, 1.0),), split=split))
    if not reading.records:
        raise UsageError(f"{data.path}: expected a folder per class with images in it, found none")
    _refuse_empty(data, images, labels)
    return reading


def _refuse_empty(data: DataSet, images: Sequence[File], labels: LabelMap) -> None:
    """A folder beside the classes' folders without any image is a class that nobody filled."""
    if not data.path.is_dir():
        return
    depth = _common_depth(images)
    paths = [file.name.split("/")[:-1] for file in images]
    splits = any(len(path) > depth and split_of(path[depth]) for path in paths)
    level = depth + splits
    full = {labels.get_or_keep(path[level]) for path in paths if len(path) > level}
    for top in {"/".join(path[:level]) for path in paths}:
        for folder in sorted((data.path / top).iterdir()):
            name = composed(folder.name)
            if not folder.is_dir() or name.startswith(IGNORED) or split_of(name):
                continue
            if labels.get_or_keep(name) not in full:
                raise UsageError(f"{folder}: the folder of a class has no image in it")


def _common_depth(images: Sequence[File]) -> int:
    """How many folders all images share that say nothing: `data/`, the zip's own name.

    A folder named as a split is kept, and the last two levels: one of them is the class.
    """
    paths = [file.name.split("/")[:-1] for file in images]
    depth = 0
    while paths and all(len(path) > depth + 1 for path in paths):
        names = {path[depth] for path in paths}
        if len(names) > 1 or split_of(next(iter(names))) is not None:
            break
        depth += 1
    return depth
