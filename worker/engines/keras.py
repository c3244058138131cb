"""Keras on TensorFlow or JAX: every device that those run on, above all GPUs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from worker.engine import (
    BUCKETS,
    Array,
    ArraySpec,
    BucketedNetwork,
    CompiledBatch,
    ModelSource,
    Network,
)

if TYPE_CHECKING:
    import keras

# One batch is read and decoded, one is on the device, one is settled.
LANES = 3


class KerasEngine:
    """Keras on the backend it was started with (``KERAS_BACKEND``): TensorFlow or JAX.

    Raises `RuntimeError` when Keras runs on another backend.
    """

    lanes = LANES

    def __init__(self) -> None:
        import keras

        self._backend: str = keras.backend.backend()
        if self._backend not in ("tensorflow", "jax"):
            raise RuntimeError(f"expected Keras on tensorflow or jax, got {self._backend}")
        self._device = threading.Lock()

    @property
    def name(self) -> str:
        return f"keras-{self._backend}"

    def compile(self, source: ModelSource, *, buckets: Sequence[int] = BUCKETS) -> Network:
        model = source.build()
        require_specs(model, source)
        if self._backend == "jax":
            compile_batch: Callable[[int], CompiledBatch] = partial(
                _compile_jax, model, source.takes
            )
        else:
            # One graph serves every batch size as fast as a graph for each would, and tracing six
            # of the classifier's takes eight seconds.
            any_size = _compile_tensorflow(model, source.takes)

            def compile_batch(_size: int) -> CompiledBatch:
                return any_size

        def compile_exclusive(size: int) -> CompiledBatch:
            # Two batches at once would only share the device, and double its memory.
            return partial(_exclusive, self._device, compile_batch(size))

        return BucketedNetwork(
            compile_exclusive, takes=source.takes, gives=source.gives, buckets=buckets
        )


def require_specs(model: keras.Model, source: ModelSource) -> None:
    """Raise `ValueError` unless `model` takes and gives what `source` says."""
    takes = [_spec(tensor) for tensor in model.inputs]
    gives = tuple(_spec(tensor) for tensor in model.outputs)
    if takes != [source.takes] or gives != source.gives:
        raise ValueError(
            f"{source.name}: expected a model from {source.takes} to {_listed(source.gives)}, "
            f"got one from {_listed(takes)} to {_listed(gives)}"
        )


def _compile_tensorflow(model: keras.Model, takes: ArraySpec) -> CompiledBatch:
    import tensorflow as tf

    # Not frozen into constants: as fast, and every batch size would hold its own copy of the
    # weights (six sizes of the classifier: 3.6 GB instead of 0.9).
    function = tf.function(
        lambda batch: tf.nest.flatten(model(batch, training=False)),
        input_signature=[tf.TensorSpec((None, *takes.shape), takes.dtype)],
        autograph=False,
        # Not by XLA: on two AVX-512 cores the detector took 18 ms an image with it, 12.5 without.
        jit_compile=False,
    ).get_concrete_function()
    return lambda batch: [output.numpy() for output in function(tf.constant(batch))]


def _compile_jax(model: keras.Model, takes: ArraySpec, size: int) -> CompiledBatch:
    import jax  # type: ignore[import-not-found, unused-ignore]

    trained = [variable.value for variable in model.trainable_variables]
    fixed = [variable.value for variable in model.non_trainable_variables]

    def forward(trained: Any, fixed: Any, batch: Any) -> Any:
        outputs, _ = model.stateless_call(trained, fixed, batch, training=False)
        return jax.tree_util.tree_leaves(outputs)

    batch = jax.ShapeDtypeStruct((size, *takes.shape), takes.dtype)
    function = jax.jit(forward).lower(trained, fixed, batch).compile()
    return lambda batch: [np.asarray(output) for output in function(trained, fixed, batch)]


def _exclusive(device: threading.Lock, run: CompiledBatch, batch: Array) -> Sequence[Array]:
    with device:
        return run(batch)


def _spec(tensor: Any) -> ArraySpec:
    shape = tuple(tensor.shape[1:])
    if None in shape:
        raise ValueError(f"{tensor.name}: expected all sides fixed but the batch, got {shape}")
    return ArraySpec(shape, np.dtype(tensor.dtype))


def _listed(specs: Sequence[ArraySpec]) -> str:
    return ", ".join(map(str, specs))
