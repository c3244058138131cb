"""A network as OpenVINO's intermediate representation (IR)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worker.engine import ModelSource
from worker.engines.keras import require_specs

if TYPE_CHECKING:
    import openvino


def convert(source: ModelSource) -> openvino.Model:
    """Build `source` and return its float32 IR: one input, the outputs in order, N free.

    Takes seconds and imports TensorFlow, whose graph is what is converted: Keras' own way
    (``KERAS_BACKEND=openvino``) keeps every transposition and is half as fast. Raises
    `RuntimeError` when Keras runs on another backend.
    """
    import openvino

    model = source.build()
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise RuntimeError(
            f"OpenVINO needs Keras on tensorflow to convert a model, got {keras.backend.backend()}"
        )
    require_specs(model, source)
    function = tf.function(
        lambda batch: tf.nest.flatten(model(batch, training=False)),
        input_signature=[tf.TensorSpec((None, *source.takes.shape), source.takes.dtype)],
        autograph=False,
    ).get_concrete_function()
    converted: Any = openvino.convert_model(function)
    return converted
