"""The int8 form of a classifier in the trainer's hands: runs as `Network` does, by OpenVINO."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from contract.artifact import ModelManifest, find_int8
from contract.errors import UsageError
from contract.process.settings import usable_cores
from trainer.crops import resized

_BATCH_SIZE = 16


class Int8Network:
    """What `emotion-trainer quantize` made of a classifier.

    folder     where the manifest lies

    Raises `UsageError` when the model has no int8 form, `ArtifactError` when that is not what the
    manifest says.
    """

    def __init__(self, folder: Path, manifest: ModelManifest) -> None:
        if manifest.int8 is None:
            raise UsageError(
                f"--int8: {manifest.name} has no int8 form: emotion-trainer quantize makes it"
            )
        self.path = find_int8(folder, manifest.int8, manifest.sha256)
        self._side_px = manifest.input_shape[0]
        self._classes = len(manifest.labels)
        import openvino

        self._run = openvino.Core().compile_model(
            self.path,
            "CPU",
            # Layers that are not int8 in float32: the same figures on every machine.
            {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": usable_cores()},
        )

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Outputs (N, classes) float32 of images (N, s, s) uint8 gray, resized to its side."""
        outputs = np.empty((len(images), self._classes), np.float32)
        for start in range(0, len(images), _BATCH_SIZE):
            chunk = resized(images[start : start + _BATCH_SIZE], self._side_px)[..., np.newaxis]
            outputs[start : start + len(chunk)] = self._run([chunk])[0]
        return outputs
