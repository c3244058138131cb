"""Face crops in, calibrated emotion scores out: loads an artifact, verifies it, runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from contract.artifact import ModelManifest, find_artifact
from contract.errors import ArtifactError
from worker.engine import BUCKETS, Engine

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
        model_path, self.manifest = find_artifact(path or DEFAULT_ARTIFACT)
        model = _load(model_path, self.manifest)
        self._network = engine.compile(model, buckets=buckets)

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
        outputs = np.asarray(self._network(crops[..., np.newaxis].astype(np.float32)), np.float64)
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


def _load(path: Path, manifest: ModelManifest) -> keras.Model:
    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:  # keras raises many kinds, all of them about this file
        raise ArtifactError(f"{path}: Keras cannot load it: {error}") from error
    expected_input = (None, *manifest.input_shape)
    if tuple(model.input_shape) != expected_input:
        raise ArtifactError(
            f"{path}: takes {tuple(model.input_shape)}, its manifest says {expected_input}"
        )
    height, width, channels = manifest.input_shape
    if height != width or channels != 1:
        raise ArtifactError(f"{path}: expected square gray crops, got {manifest.input_shape}")
    if tuple(model.output_shape) != (None, len(manifest.labels)):
        raise ArtifactError(
            f"{path}: gives {tuple(model.output_shape)}, its manifest names "
            f"{len(manifest.labels)} labels"
        )
    return model
