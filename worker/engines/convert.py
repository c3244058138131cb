"""A network as OpenVINO's intermediate representation (IR)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.errors import ArtifactError, UsageError
from worker.engine import ModelSource
from worker.engines.keras import require_specs
from worker.engines.telemetry import refuse_telemetry

if TYPE_CHECKING:
    import openvino


def convert(source: ModelSource) -> openvino.Model:
    """Build `source` and return its float32 IR: one input, the outputs in order, N free.

    Takes seconds and imports TensorFlow, whose graph is what is converted: Keras' own way
    (``KERAS_BACKEND=openvino``) keeps every transposition and is half as fast. Raises
    `UsageError` when Keras runs on another backend and `ArtifactError` for a model that OpenVINO
    cannot run.
    """
    refuse_telemetry()
    import openvino

    model = source.build()
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            f"--engine openvino: expected Keras on tensorflow, which converts the {source.name}, "
            f"got {keras.backend.backend()}"
        )
    require_specs(model, source)
    function = tf.function(
        lambda batch: tf.nest.flatten(model(batch, training=False)),
        input_signature=[tf.TensorSpec((None, *source.takes.shape), source.takes.dtype)],
        autograph=False,
    ).get_concrete_function()
    try:
        # A copy: the model would point into TensorFlow's memory, which the next garbage
        # collection frees.
        converted: openvino.Model = openvino.convert_model(function, share_weights=False)
    except Exception as error:  # openvino raises many kinds, all of them about this network
        raise ArtifactError(
            f"{source.name}: OpenVINO cannot convert it; --engine keras can run it: {error}"
        ) from error
    return converted
