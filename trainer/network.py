"""A trained Keras classifier in the trainer's hands: loads it, checks its shape, runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contract.artifact import ModelManifest
from contract.errors import ArtifactError
from contract.process.logs import native_output_to_debug
from trainer.crops import resized

# One shape for all calls: TensorFlow traces a graph per shape.
BATCH_SIZE = 64


class Network:
    """A classifier of square gray crops.

    Raises `ArtifactError` naming the file when Keras cannot load it or it takes anything else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise ArtifactError(f"{path}: no such model file")
        if path.suffix != ".keras":  # HDF5 has no safe mode: it may bring code along
            raise ArtifactError(f"{path}: expected a .keras file")
        try:
            # Only here: TensorFlow takes seconds to import, and talks.
            with native_output_to_debug():
                import keras

                self._model: Any = keras.models.load_model(path, compile=False, safe_mode=True)
            takes = _shape(self._model.input_shape)
            gives = _shape(self._model.output_shape)
        except Exception as error:  # keras raises many kinds, all of them about this file
            raise ArtifactError(f"{path}: Keras cannot load it: {error}") from error
        if len(takes) != 4 or takes[0] is not None or takes[1] != takes[2] or takes[3] != 1:
            raise ArtifactError(f"{path}: expected input (None, side, side, 1), got {takes}")
        if takes[1] is None:
            raise ArtifactError(f"{path}: expected an input of fixed size, got {takes}")
        if len(gives) != 2 or gives[1] is None:
            raise ArtifactError(f"{path}: expected output (None, classes), got {gives}")
        self.side_px: int = takes[1]
        self.classes: int = gives[1]
        if keras.config.backend() == "tensorflow":
            # XLA on a CPU takes longer to compile this one pass than it takes to run.
            self._model.jit_compile = False

    def require(self, manifest: ModelManifest) -> None:
        """Raise `ArtifactError` unless the model takes and gives what `manifest` says."""
        expected = (*manifest.input_shape, len(manifest.labels))
        actual = (self.side_px, self.side_px, 1, self.classes)
        if actual != expected:
            raise ArtifactError(
                f"{self.path}: expected crops {expected[:3]} and {expected[3]} outputs as its "
                f"manifest says, got {actual[:3]} and {actual[3]}"
            )

    def __call__(
        self,
        images: npt.NDArray[np.uint8],
        on_progress: Callable[[int], object] = lambda done: None,
    ) -> npt.NDArray[np.float32]:
        """Outputs (N, classes) float32 of images (N, s, s) uint8 gray, resized to its side.

        `on_progress` gets the number of images done.
        """
        outputs = np.empty((len(images), self.classes), np.float32)
        batch = np.zeros((BATCH_SIZE, self.side_px, self.side_px, 1), np.float32)
        for start in range(0, len(images), BATCH_SIZE):
            chunk = resized(images[start : start + BATCH_SIZE], self.side_px)
            batch[: len(chunk), ..., 0] = chunk
            result = np.asarray(self._model.predict_on_batch(batch), np.float32)
            outputs[start : start + len(chunk)] = result[: len(chunk)]
            on_progress(start + len(chunk))
        return outputs


def _shape(shape: Any) -> tuple[int | None, ...]:
    """The shape of the only input or output; a model with several has a list or dict of them."""
    if not isinstance(shape, tuple) or not all(side is None or type(side) is int for side in shape):
        raise ValueError(f"expected one input and one output, got shapes {shape}")
    return shape
