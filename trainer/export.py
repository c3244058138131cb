"""A trained model becomes an artifact: the file and the manifest that says what it is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contract import wire
from contract.artifact import ModelManifest, check_labels, file_sha256, find_artifact
from contract.crop import CropRule
from contract.errors import ArtifactError, EmotionStreamError, UsageError
from trainer.half import write_half
from trainer.network import Network
from trainer.versions import versions
from worker.faces.crop import CROP_RULE

_PROBES = 8


@dataclass(frozen=True, slots=True)
class Export:
    """What to say about a model; the fields are those of `ModelManifest`.

    crop       None: as this version's worker cuts
    versions   of what trained it; `export` adds its own
    """

    name: str
    labels: tuple[str, ...]
    output: str = "logits"
    temperature: float = 1.0
    crop: CropRule | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)


def export(model: Path, about: Export, out: Path, *, force: bool = False) -> Path:
    """Write `out/NAME.keras` and `out/NAME.json`; returns the path of the first.

    The kernels are written as float16. The model is loaded and run. The pair is made in a temporary
    folder, read back and moved into place only then, so nothing half-written ever bears the name.

    Raises `UsageError` when the model does not fit what is said about it or the artifact exists
    and `force` is not given.
    """
    target = out / f"{about.name}.keras"
    manifest_target = target.with_suffix(".json")
    in_place = target.is_file() and model.is_file() and target.samefile(model)
    # In place only the manifest is new.
    targets = [manifest_target] if in_place else [target, manifest_target]
    network = checked_network(model, about, out, targets, force=force)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=f".{about.name}.") as temporary:
            copy = Path(temporary) / target.name
            if in_place:
                shutil.copyfile(model, copy)
            else:
                _write_half(network, model, copy)
            ModelManifest(
                name=about.name,
                file=target.name,
                sha256=file_sha256(copy),
                labels=about.labels,
                input_shape=(network.side_px, network.side_px, 1),
                output=about.output,
                temperature=about.temperature,
                crop=about.crop or CROP_RULE,
                recipe=about.recipe,
                data=about.data,
                versions={**about.versions, "exported": versions()},
                made=about.made,
                measured=about.measured,
            ).write(copy.with_suffix(".json"))
            find_artifact(copy)
            if not in_place:
                copy.replace(target)
            copy.with_suffix(".json").replace(manifest_target)
    except OSError as error:
        raise EmotionStreamError(f"{out}: cannot write the artifact: {error}") from error
    find_artifact(target)
    return target


def checked_network(
    model: Path, about: Export, out: Path, targets: list[Path], *, force: bool
) -> Network:
    """The model, loaded and run. Raises `UsageError` when it is not what `about` says, or what
    would be written exists and `force` is not given.
    """
    if not _is_plain(about.name):
        raise UsageError(f"--name {about.name}: expected a short name without spaces or slashes")
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: expected a folder, got a file")
    if not model.is_file():
        raise ArtifactError(f"{model}: no such model file")
    refuse_overwrite(targets, force)
    network = Network(model)
    _check_labels(network, about)
    _check_outputs(network, about)
    return network


def refuse_overwrite(targets: list[Path], force: bool) -> None:
    """Raise `UsageError` when one of `targets` exists and `force` is not given."""
    existing = [str(target) for target in targets if target.exists()]
    if existing and not force:
        raise UsageError(f"{', '.join(existing)}: exists; --force replaces it, --name avoids it")


def _write_half(network: Network, model: Path, copy: Path) -> None:
    write_half(model, copy)
    noise = _noise(network.side_px)
    before, after = network(noise), Network(copy)(noise)
    # Of logits that are a few units apart: no score moves by more than a thousandth.
    if not np.allclose(before, after, rtol=5e-3, atol=5e-3):
        worst = float(np.abs(before - after).max())
        raise ArtifactError(f"{model}: float16 weights change its outputs by up to {worst:.3g}")


def _noise(side_px: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (_PROBES, side_px, side_px), np.uint8)


def _is_plain(name: str) -> bool:
    try:
        return wire.name(name) == name
    except ValueError:
        return False


def _check_labels(network: Network, about: Export) -> None:
    if len(about.labels) != network.classes:
        given = f"{len(about.labels)}: {', '.join(about.labels)}" if about.labels else "none"
        raise UsageError(
            f"--labels: expected {network.classes}, one for each output of {network.path.name}, "
            f"got {given}"
        )
    try:
        check_labels(about.labels)
    except ValueError as error:
        raise UsageError(f"--labels: {error}") from error


def _check_outputs(network: Network, about: Export) -> None:
    """Run the model on noise: logits called probabilities, or the reverse, fail silently later."""
    outputs = network(_noise(network.side_px))
    if not np.isfinite(outputs).all():
        raise ArtifactError(f"{network.path}: expected finite outputs, got NaN or infinity")
    sums = outputs.sum(axis=1)
    are_probabilities = bool((outputs >= 0).all() and np.allclose(sums, 1.0, atol=1e-2))
    if are_probabilities != (about.output == "probabilities"):
        actual = "probabilities" if are_probabilities else "logits"
        raise UsageError(
            f"--output {about.output}: {network.path.name} gives {actual}: on noise its outputs "
            f"go from {outputs.min():.3g} to {outputs.max():.3g} and sum to "
            f"{sums.min():.3g}..{sums.max():.3g}"
        )
