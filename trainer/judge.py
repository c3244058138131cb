"""How well weights do on crops, as the worker would see them: plain, or with their mirror image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from trainer.calibrate import cross_entropy
from trainer.evaluate import softmax

Floats = npt.NDArray[np.float32]


class Judge:
    """Runs `network` on crops; `take` gives it the weights it is to judge."""

    def __init__(self, network: Any, batch: int = 256) -> None:
        self.network = network
        self.batch = batch
        if keras.config.backend() == "tensorflow":
            # XLA takes longer to compile these few batches than they take to run.
            self.network.jit_compile = False

    def take(self, values: Sequence[Any]) -> None:
        """Arrays or variables, in the order of `network.weights`; copied on the device."""
        for variable, value in zip(self.network.weights, values, strict=True):
            # A copy: JAX gives away the memory of what `fit` and `predict` work on.
            variable.assign(keras.ops.copy(keras.ops.convert_to_tensor(value)))

    def values(self) -> list[npt.NDArray[Any]]:
        """The weights it judges, on the host."""
        return [np.array(keras.ops.convert_to_numpy(v)) for v in self.network.weights]

    def logits(self, crops: npt.NDArray[np.uint8]) -> Floats:
        """Of crops (N, side, side) uint8: (N, labels) float32."""
        found = np.empty((len(crops), self.network.output_shape[1]), np.float32)
        # One shape for all calls: a compiler works once per shape.
        batch = np.zeros((self.batch, *crops.shape[1:], 1), np.float32)
        for start in range(0, len(crops), self.batch):
            chunk = crops[start : start + self.batch]
            batch[: len(chunk), ..., 0] = chunk
            answers = np.asarray(self.network.predict_on_batch(batch), np.float32)
            found[start : start + len(chunk)] = answers[: len(chunk)]
        return found

    def answers(self, crops: npt.NDArray[np.uint8]) -> Floats:
        """Probabilities (N, labels), the mean of crop and mirror image, for a student."""
        mirrored = crops[:, :, ::-1]
        both = softmax(self.logits(crops)) + softmax(self.logits(mirrored))
        return (both / 2).astype(np.float32)


def score(logits: Floats, truth: npt.NDArray[np.int64], wanted: Floats) -> tuple[float, float]:
    """Accuracy against `truth` (N,), and cross-entropy with the distributions `wanted`."""
    right = logits.argmax(axis=1) == truth
    return float(right.mean()), cross_entropy(softmax(logits), wanted)
