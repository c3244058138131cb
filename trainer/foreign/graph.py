"""The classifier as other runtimes get it: crops in, calibrated scores out, nothing left to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

INPUT, OUTPUT = "crops", "scores"
_LEAST = 1e-12


def deployed(model: Path, output: str, temperature: float) -> Any:
    """The functional `keras.Model` from "crops" (N, side, side, 1) uint8, gray values 0..255, to
    "scores" (N, labels) float32: probabilities, the temperature applied.

    `output` and `temperature` as in a manifest. What the worker does after its network is part of
    this one: a user of another runtime would leave the temperature out and not notice.
    """
    import keras
    from keras import layers, ops

    network = keras.models.load_model(model, compile=False)
    crops = keras.Input(tuple(network.input_shape[1:]), dtype="uint8", name=INPUT)
    outputs = network(ops.cast(crops, network.inputs[0].dtype), training=False)
    logits = ops.cast(outputs, "float32")
    if output == "probabilities":
        logits = ops.log(ops.clip(logits, _LEAST, 1.0))
    scores = layers.Softmax(name=OUTPUT, dtype="float32")(logits / temperature)
    return keras.Model(crops, scores, name=network.name)
