"""Keras on TensorFlow or JAX: every device that those run on, above all GPUs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from contract.errors import UsageError
from worker.engine import (
    BUCKETS,
    Array,
    ArraySpec,
    BucketedNetwork,
    CompiledBatch,
    ModelSource,
    Network,
)
from worker.engines.options import Precision

if TYPE_CHECKING:
    import keras

_log = structlog.get_logger()

# Compute capability of the first cards with bfloat16 (Ampere).
_BFLOAT16_SINCE = (8, 0)
# One batch is read and decoded, one is on the device, one is settled.
LANES = 3


class KerasEngine:
    """Keras on the backend it was started with (``KERAS_BACKEND``): TensorFlow or JAX.

    precision  "auto" is bfloat16 on a GPU that calculates in it, else float32
    threads    cores to use; None leaves it to TensorFlow, as JAX always does

    On a GPU XLA compiles the networks; on a CPU the detector took 18 ms an image with it, 12.5
    without (two AVX-512 cores).

    Raises `UsageError` for int8 and when Keras runs on another backend.
    """

    lanes = LANES

    def __init__(self, precision: Precision = "auto", *, threads: int | None = None) -> None:
        if precision == "int8":
            raise UsageError("--precision int8: Keras has none; expected --engine openvino")
        try:
            import keras
        except ModuleNotFoundError as error:
            if error.name not in ("jax", "torch", "tensorflow"):
                raise
            raise UsageError(
                f"KERAS_BACKEND={os.environ.get('KERAS_BACKEND', '')}: {error.name} is not "
                "installed; expected tensorflow, or jax where that is"
            ) from error
        self._backend: str = keras.backend.backend()
        if self._backend not in ("tensorflow", "jax"):
            raise UsageError(f"expected Keras on tensorflow or jax, got {self._backend}")
        if self._backend == "tensorflow" and threads is not None:
            _limit_threads(threads)
        self._device = threading.Lock()
        capability = _gpu_capability(self._backend)
        self.on_gpu = capability is not None
        if precision == "auto":
            fast = capability is not None and capability >= _BFLOAT16_SINCE
            precision = "bfloat16" if fast else "float32"
        self._precision = precision

    @property
    def name(self) -> str:
        return f"keras-{self._backend}"

    @property
    def batch_size(self) -> int:
        return 64 if self.on_gpu else 16

    def compile(self, source: ModelSource, *, buckets: Sequence[int] = BUCKETS) -> Network:
        model = source.build()
        require_specs(model, source)
        if self._precision == "bfloat16":
            model = in_bfloat16(model)
        if self._backend == "jax":
            compile_batch: Callable[[int], CompiledBatch] = partial(
                _compile_jax, model, source.takes
            )
        else:
            # One graph serves every batch size as fast as a graph for each would, and tracing six
            # of the classifier's takes eight seconds.
            any_size = _compile_tensorflow(model, source.takes, xla=self.on_gpu)

            def compile_batch(_size: int) -> CompiledBatch:
                return any_size

        def compile_exclusive(size: int) -> CompiledBatch:
            # Two batches at once would only share the device, and double its memory.
            return partial(_exclusive, self._device, compile_batch(size))

        return BucketedNetwork(
            compile_exclusive,
            takes=source.takes,
            gives=source.gives,
            buckets=buckets,
            precision=self._precision,
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


def in_bfloat16(model: keras.Model) -> keras.Model:
    """The same model with the same float32 weights; its convolutions and matrix products, which
    are nearly all of its work, are calculated in bfloat16.
    """
    import keras

    def clone(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            config["dtype"] = "mixed_bfloat16"
        return type(layer).from_config(config)

    cloned = keras.models.clone_model(model, clone_function=clone, recursive=True)
    for copy, weight in zip(cloned.weights, model.weights, strict=True):
        copy.assign(weight.value)
    # Not bfloat16 logits, which have two and a half digits.
    floats = [keras.ops.cast(output, "float32") for output in cloned.outputs]
    return keras.Model(cloned.inputs[0], floats)


def _gpu_capability(backend: str) -> tuple[int, int] | None:
    """CUDA's compute capability of the first GPU that the backend uses; None without one."""
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        if device.platform != "gpu":
            return None
        major, minor = str(getattr(device, "compute_capability", "0.0")).split(".")
        return int(major), int(minor)
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return None
    return tuple(
        tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
    )


def _limit_threads(threads: int) -> None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        # Only the first engine of a process decides; TensorFlow's threads are running then.
        _log.debug("TensorFlow has its threads already", threads=threads)


def _compile_tensorflow(model: keras.Model, takes: ArraySpec, *, xla: bool) -> CompiledBatch:
    import tensorflow as tf

    # Not frozen into constants: as fast, and every batch size would hold its own copy of the
    # weights (six sizes of the classifier: 3.6 GB instead of 0.9).
    function = tf.function(
        lambda batch: tf.nest.flatten(model(batch, training=False)),
        input_signature=[tf.TensorSpec((None, *takes.shape), takes.dtype)],
        autograph=False,
        jit_compile=xla,
    ).get_concrete_function()
    return lambda batch: [output.numpy() for output in function(tf.constant(batch))]


def _compile_jax(model: keras.Model, takes: ArraySpec, size: int) -> CompiledBatch:
    import jax

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
