"""Face crops in, calibrated emotion scores out: loads an artifact, verifies it, runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from contract.artifact import ModelManifest, find_artifact, find_int8
from contract.errors import ArtifactError
from worker.engine import BUCKETS, ArraySpec, Engine, ModelSource
from worker.faces.crop import CROP_RULE
from worker.int8 import offered

if TYPE_CHECKING:
    import keras

DEFAULT_ARTIFACT = Path(__file__).parent / "models" / "ferplus_resnet50.keras"


class EmotionClassifier:
    """The classifier of one verified artifact on one engine.

    path      a `.keras` file or its manifest; the shipped FER+ model if None

    Raises `ArtifactError` naming the file when the artifact is missing, damaged, not what its
    manifest says, or not a model of gray crops.
    """

    def __init__(
        self, engine: Engine, path: Path | None = None, *, buckets: Sequence[int] = BUCKETS
    ) -> None:
        self.manifest, source = classifier_source(path)
        self._network = engine.compile(source, buckets=buckets)

    @property
    def precision(self) -> str:
        """What its network computes in."""
        return self._network.precision

    @property
    def crop_side_px(self) -> int:
        """Side of the square crops it takes."""
        return self.manifest.input_shape[0]

    def warm_up(self) -> None:
        """Compile every bucket, so that no frame pays for it."""
        self._network.warm_up()

    def scores(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Calibrated probabilities (N, labels) float32 of crops (N, side, side) uint8 gray.

        Calibration: temperature scaling, Guo et al., "On Calibration of Modern Neural Networks",
        ICML 2017. Raises `ValueError` for crops of another shape or type.
        """
        side = self.crop_side_px
        if crops.dtype != np.uint8 or crops.ndim != 3 or crops.shape[1:] != (side, side):
            raise ValueError(
                f"expected crops (N, {side}, {side}) uint8, got {crops.shape} {crops.dtype}"
            )
        outputs = np.asarray(self._network(crops[..., np.newaxis]), np.float64)
        if self.manifest.output == "probabilities":
            outputs = np.log(np.clip(outputs, 1e-12, 1.0))
        logits = outputs / self.manifest.temperature
        weights = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)

    def named(self, scores: npt.NDArray[np.float32]) -> Mapping[str, float]:
        """One row of `scores` with its labels."""
        return {
            label: float(score)
            for label, score in zip(self.manifest.labels, scores.tolist(), strict=True)
        }


def classifier_source(path: Path | None = None) -> tuple[ModelManifest, ModelSource]:
    """What an artifact's manifest says, and its model for an engine: crops in, outputs out.

    `path` and what it raises are those of `EmotionClassifier`; Keras is imported and the model
    loaded only by `ModelSource.build`.
    """
    model_path, manifest = find_artifact(path or DEFAULT_ARTIFACT)
    height, width, channels = manifest.input_shape
    if height != width or channels != 1:
        raise ArtifactError(f"{model_path}: expected square gray crops, got {manifest.input_shape}")
    # Artifacts from before the manifest said it were all trained on crops like these.
    if manifest.crop not in (None, CROP_RULE):
        raise ArtifactError(
            f"{model_path}: wants other crops than this version of the worker cuts: expected "
            f"[{CROP_RULE}], got [{manifest.crop}]"
        )
    source = ModelSource(
        name="classifier",
        fingerprint=manifest.sha256,
        takes=ArraySpec(manifest.input_shape, np.dtype(np.uint8)),
        gives=(ArraySpec((len(manifest.labels),), np.dtype(np.float32)),),
        build=partial(_load, str(model_path)),
        # Core-ms a crop in batches of 1, 4, 8, 16: 5.0, 4.0, 3.6, 3.4 (OpenVINO, bfloat16).
        cpu_batch=16,
        int8=offered(partial(_find_int8, model_path, manifest)),
    )
    return manifest, source


def _find_int8(path: Path, manifest: ModelManifest) -> Path | None:
    if manifest.int8 is None:
        return None
    return find_int8(path.parent, manifest.int8, manifest.sha256)


def _load(file: str) -> keras.Model:
    """The artifact's model, behind an input that takes bytes: a quarter of what floats weigh.

    Takes a text, and reads the manifest again, because it may be called in another process.
    """
    import keras

    path, manifest = find_artifact(Path(file))
    try:
        # Safe mode: a model that brings Python code of its own is refused.
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # keras raises many kinds, all of them about this file
        raise ArtifactError(f"{path}: Keras cannot load it: {error}") from error
    expected_input = (None, *manifest.input_shape)
    if tuple(model.input_shape) != expected_input:
        raise ArtifactError(
            f"{path}: takes {tuple(model.input_shape)}, its manifest says {expected_input}"
        )
    if tuple(model.output_shape) != (None, len(manifest.labels)):
        raise ArtifactError(
            f"{path}: gives {tuple(model.output_shape)}, its manifest names "
            f"{len(manifest.labels)} labels"
        )
    crops = keras.Input(manifest.input_shape, dtype="uint8", name="crops")
    outputs = model(keras.ops.cast(crops, model.inputs[0].dtype), training=False)
    return keras.Model(crops, keras.ops.cast(outputs, "float32"), name=model.name)
