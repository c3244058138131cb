"""Labelled face crops that calibrate and measure an int8 classifier: of a pack, or of FER+ as it
is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from contract.artifact import ModelManifest
from contract.errors import UsageError
from trainer.crops import resized
from trainer.data import ferplus
from trainer.labelled import labelled
from trainer.pack import Pack, Split
from trainer.pack_format import MAGIC

_SEED = 0


@dataclass(frozen=True, slots=True)
class Faces:
    """crops: one (side, side, 1) uint8 each; truth: (N,) int64, index into the model's labels;
    data: what they are, in words.
    """

    crops: list[npt.NDArray[np.uint8]]
    truth: npt.NDArray[np.int64]
    data: str


def calibration_faces(data: Path, manifest: ModelManifest, count: int) -> Faces:
    """`count` crops of the training part that have a majority, always the same ones.

    data   a pack or FER+ (a zip, or its folder)

    Raises `UsageError` for data without one of the model's labels.
    """
    if is_pack(data):
        return _of_pack(data, manifest, "train", count=count)
    _require_ferplus(data, manifest)
    split = ferplus.read_split(data, "train")
    truth = ferplus.majority(split.votes)
    chosen = _drawn(np.flatnonzero(truth >= 0), count)
    return _of_ferplus(
        split.images[chosen], truth[chosen], manifest,
        f"FER+ train, {len(chosen):,} photos with a majority",
    )  # fmt: skip


def unseen_faces(data: Path, manifest: ModelManifest, limit: int | None = None) -> Faces:
    """The crops of the test part that have a majority, the first `limit`. Else as above."""
    if is_pack(data):
        return _of_pack(data, manifest, "test", limit=limit)
    _require_ferplus(data, manifest)
    split = ferplus.read_split(data, "test")
    truth = ferplus.majority(split.votes)
    used = np.flatnonzero(truth >= 0)[:limit]
    return _of_ferplus(split.images[used], truth[used], manifest, f"FER+ test, n={len(used)}")


def is_pack(data: Path) -> bool:
    """Whether `emotion-trainer prepare` made it."""
    if not data.is_file():
        return False
    with data.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def _of_pack(
    path: Path,
    manifest: ModelManifest,
    split: Split,
    *,
    count: int | None = None,
    limit: int | None = None,
) -> Faces:
    pack = Pack.open(path)
    found = labelled(pack, split, manifest.labels, limit=limit)
    places = np.arange(len(found)) if count is None else _drawn(np.arange(len(found)), count)
    name = f"{pack.header.name} {split}, pack {pack.header.fingerprint[:12]}, n={len(places)}"
    images = pack.images(found.rows[places], threads=4)
    return Faces(_items(images, manifest), found.truth[places], name)


def _of_ferplus(
    images: npt.NDArray[np.uint8], truth: npt.NDArray[np.int64], manifest: ModelManifest, name: str
) -> Faces:
    places = np.array([manifest.labels.index(label) for label in ferplus.CLASSES], np.int64)
    return Faces(_items(images, manifest), places[truth], name)


def _require_ferplus(data: Path, manifest: ModelManifest) -> None:
    if set(manifest.labels) != set(ferplus.CLASSES):
        raise UsageError(
            f"{data}: expected a pack of faces with the model's labels "
            f"{', '.join(manifest.labels)}; FER+ has {', '.join(ferplus.CLASSES)}"
        )


def _drawn(rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(_SEED).permutation(rows)[:count]


def _items(images: npt.NDArray[np.uint8], manifest: ModelManifest) -> list[npt.NDArray[np.uint8]]:
    return list(resized(images, manifest.input_shape[0])[..., np.newaxis])
