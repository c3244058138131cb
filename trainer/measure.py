"""Everything that is measured of a classifier on one split of a pack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from contract.artifact import ModelManifest
from contract.errors import ArtifactError
from trainer.calibrate import cross_entropy
from trainer.evaluate import Evaluation, Floats, as_logits, evaluate, softmax
from trainer.labelled import Labelled, labelled
from trainer.network import Network
from trainer.pack import Pack, Split
from trainer.twins import twins

SIZES_PX = (24, 32, 48)
_CROPS_AT_ONCE = 512  # so many are decoded at a time: a pack may be larger than memory

Outputs = npt.NDArray[np.float32]


class Runs(Protocol):
    """A classifier that can be measured: `Network`, `Int8Network`."""

    path: Path

    def __call__(self, images: npt.NDArray[np.uint8], /) -> Outputs: ...


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a model does on the crops of one split.

    data         the pack's name and split, in words
    fingerprint  of the pack
    single       one look at each crop, as the worker does
    flipped      the mean of the probabilities of each crop and its mirror image
    votes_nll    mean cross-entropy, in nats, of the calibrated scores against the votes
    probabilities, truth
                 (N, K) calibrated and (N,): what plots are made of
    by_size      a face of so many pixels a side, enlarged again: its evaluation
    apart        `single` on those crops only that have no twin in another part of the pack, which
                 the model may have learned; None where all have one
    """

    data: str
    fingerprint: str
    counts: Mapping[str, int]
    single: Evaluation
    flipped: Evaluation
    votes_nll: float
    probabilities: Floats
    truth: npt.NDArray[np.int64]
    by_size: Mapping[int, Evaluation]
    apart: Evaluation | None


def measure(
    network: Runs,
    manifest: ModelManifest,
    pack: Pack,
    split: Split,
    *,
    limit: int | None = None,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> Measurement:
    """Measure `network` on `split` of `pack`; `on_progress` gets crops done and in all.

    Raises `UsageError` for a pack without a class of the model's, `ArtifactError` for outputs that
    are not finite.
    """
    crops = labelled(pack, split, manifest.labels, limit=limit)
    sizes = [side for side in SIZES_PX if side <= pack.header.side_px]
    looks: dict[str | int, Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]] = {
        "single": lambda images: images,
        "mirrored": lambda images: images[..., ::-1],
        **{side: lambda images, side=side: reduced(images, side) for side in sizes},  # type: ignore[misc]
    }
    total = len(crops) * len(looks)
    outputs: dict[str | int, list[Outputs]] = {look: [] for look in looks}
    done = 0
    for start in range(0, len(crops), _CROPS_AT_ONCE):
        images = pack.images(crops.rows[start : start + _CROPS_AT_ONCE])
        for look, changed in looks.items():
            outputs[look].append(network(np.ascontiguousarray(changed(images))))
            done += len(images)
            on_progress(done, total)
    found = {look: _logits(network, manifest.output, parts) for look, parts in outputs.items()}
    single, mirrored = found["single"], found["mirrored"]
    probabilities = softmax(single, manifest.temperature)
    alone = ~np.isin(crops.rows, twins(pack, split))
    both = (probabilities + softmax(mirrored, manifest.temperature)) / 2
    return Measurement(
        data=f"{pack.header.name}, {split}" + _first(crops, limit),
        fingerprint=pack.header.fingerprint,
        counts=crops.counts,
        single=evaluate(single, crops.truth, manifest.temperature),
        # The mean of calibrated scores needs no further temperature.
        flipped=evaluate(np.log(np.clip(both, 1e-12, 1.0)), crops.truth, 1.0),
        votes_nll=cross_entropy(probabilities, crops.targets),
        probabilities=probabilities,
        truth=crops.truth,
        by_size={side: evaluate(found[side], crops.truth, manifest.temperature) for side in sizes},
        apart=evaluate(single[alone], crops.truth[alone], manifest.temperature)
        if alone.any()
        else None,
    )


def outputs_of(
    network: Network,
    labels: tuple[str, ...],
    output: str,
    pack: Pack,
    split: Split,
    *,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
) -> tuple[Floats, Labelled]:
    """Logits (N, K) float64 of the crops of a split, and those crops: what a temperature is fitted
    to. `output` as in a manifest. Raises as `measure` does."""
    crops = labelled(pack, split, labels)
    parts = []
    for start in range(0, len(crops), _CROPS_AT_ONCE):
        rows = crops.rows[start : start + _CROPS_AT_ONCE]
        parts.append(network(pack.images(rows)))
        on_progress(start + len(rows), len(crops))
    return _logits(network, output, parts), crops


def reduced(images: npt.NDArray[np.uint8], side_px: int) -> npt.NDArray[np.uint8]:
    """Crops (N, S, S) as they would be of a face of `side_px` pixels, 0 < `side_px` <= S: reduced
    by area, (N, side_px, side_px)."""
    side = (side_px, side_px)
    small = [cv2.resize(image, side, interpolation=cv2.INTER_AREA) for image in images]
    return np.stack(small).astype(np.uint8, copy=False)


def _logits(network: Runs, output: str, parts: list[Outputs]) -> Floats:
    outputs = np.concatenate(parts)
    if not np.isfinite(outputs).all():
        raise ArtifactError(f"{network.path}: expected finite outputs, got NaN or infinity")
    return as_logits(outputs, output)


def _first(crops: Labelled, limit: int | None) -> str:
    return f", first {len(crops):,}" if limit is not None and len(crops) == limit else ""
