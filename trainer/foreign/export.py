"""A trained model in another runtime's format: a folder with its files and their manifest."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from contract.artifact import file_sha256
from contract.errors import ArtifactError, EmotionStreamError, UsageError
from contract.process.logs import native_output_to_debug
from trainer.evaluate import as_logits, softmax
from trainer.export import Export, checked_network, refuse_overwrite
from trainer.foreign import onnx, openvino, saved_model
from trainer.foreign.graph import INPUT, OUTPUT, deployed
from trainer.whole import write_json
from worker.faces.crop import CROP_RULE

Format = Literal["onnx", "saved_model", "openvino"]
Crops = npt.NDArray[np.uint8]

MANIFEST = "manifest.json"
VERSION = 1
# Between float32 on two runtimes; 1e-6 for the shipped model.
MAX_DIFFERENCE = 1e-4
_PROBES = 32


class _Runtime(Protocol):
    def write(self, model: Any, folder: Path) -> None: ...

    def run(self, folder: Path, crops: Crops) -> npt.NDArray[np.float32]: ...

    def versions(self) -> dict[str, str]: ...

    def require(self) -> None: ...


_RUNTIMES: dict[Format, _Runtime] = {
    "onnx": onnx,
    "saved_model": saved_model,
    "openvino": openvino,
}


@dataclass(frozen=True, slots=True)
class Exported:
    """folder: what was written; difference: of its scores to Keras', the largest, on `crops`."""

    folder: Path
    difference: float
    crops: int


def export_foreign(
    model: Path, about: Export, kind: Format, out: Path, *, force: bool = False
) -> Exported:
    """Write the folder `out/NAME-KIND`.

    Its network takes "crops", (N, side, side, 1) uint8, and gives "scores", (N, labels) float32:
    probabilities, the temperature applied. Made in a temporary folder, run in its own runtime,
    compared with what Keras and the worker's calibration make of the same crops, and moved into
    place whole.

    Raises `UsageError` when the model does not fit what is said about it, a package is missing or
    the folder exists and `force` is not given; `ArtifactError` when the scores are not Keras'.
    """
    runtime = _RUNTIMES[kind]
    runtime.require()
    target = out / f"{about.name}-{kind}"
    network = checked_network(model, about, out, [target], force=force)
    import keras

    if keras.config.backend() != "tensorflow":
        raise UsageError(
            f"--format {kind}: expected Keras on tensorflow, got {keras.config.backend()}"
        )
    crops = probes(network.side_px)
    expected = softmax(as_logits(network(crops), about.output), about.temperature)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=f".{target.name}.") as temporary:
            made = Path(temporary) / target.name
            made.mkdir()
            with native_output_to_debug():
                runtime.write(deployed(model, about.output, about.temperature), made)
                found = runtime.run(made, crops[..., np.newaxis])
            difference = _compared(expected, found, f"{model}: in the format {kind}")
            write_json(made / MANIFEST, _manifest(model, about, kind, network.side_px, made))
            # Nobody watches between two exports; a folder cannot be replaced in one step.
            refuse_overwrite([target], force)
            if target.exists():
                target.rename(Path(temporary) / "before")
            made.rename(target)
    except OSError as error:
        raise EmotionStreamError(f"{target}: cannot write it: {error}") from error
    return Exported(target, difference, len(crops))


def probes(side_px: int) -> Crops:
    """Crops (N, side, side) to compare networks on: noise of every coarseness, and flat ones."""
    random = np.random.default_rng(0)
    coarse = [2, 3, 4, 6, 8, 12, 16, side_px]
    crops = [
        cv2.resize(
            random.integers(0, 256, (side, side)).astype(np.uint8),
            (side_px, side_px),
            interpolation=cv2.INTER_CUBIC,
        )
        for side in coarse
        for _ in range(_PROBES // len(coarse))
    ]
    flat = [np.full((side_px, side_px), level) for level in (0, 128, 255)]
    return np.stack([*crops, *flat]).astype(np.uint8)


def _compared(
    expected: npt.NDArray[np.float64], found: npt.NDArray[np.float32], what: str
) -> float:
    if found.shape != expected.shape or not np.isfinite(found).all():
        raise ArtifactError(
            f"{what}: expected finite scores {expected.shape}, got {found.shape}, "
            f"{np.count_nonzero(~np.isfinite(found))} of them not finite"
        )
    difference = float(np.abs(expected - found).max())
    if difference > MAX_DIFFERENCE:
        raise ArtifactError(
            f"{what} its scores differ by up to {difference:.3g} from Keras', "
            f"expected at most {MAX_DIFFERENCE:g}"
        )
    return difference


def _manifest(model: Path, about: Export, kind: Format, side_px: int, made: Path) -> dict[str, Any]:
    files = sorted(path for path in made.rglob("*") if path.is_file())
    import keras

    return {
        "version": VERSION,
        "name": about.name,
        "format": kind,
        "files": {path.relative_to(made).as_posix(): file_sha256(path) for path in files},
        "source_sha256": file_sha256(model),
        "labels": list(about.labels),
        "input": {
            "name": INPUT,
            "shape": [None, side_px, side_px, 1],
            "dtype": "uint8",
            "values": "gray, 0..255",
            "crop": f"around the middle of the face's box: {about.crop or CROP_RULE}",
        },
        "output": {
            "name": OUTPUT,
            "shape": [None, len(about.labels)],
            "dtype": "float32",
            "values": "probabilities, calibrated: the temperature is part of the network",
        },
        "temperature": about.temperature,
        "recipe": dict(about.recipe),
        "data": dict(about.data),
        "made": dict(about.made),
        "measured": dict(about.measured),
        "versions": {"keras": keras.__version__, **_RUNTIMES[kind].versions(), **about.versions},
    }
