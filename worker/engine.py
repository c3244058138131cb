"""Runs a Keras model on batches of any size, at the speed of a compiled function.

`Engine` and `Network` are what the worker knows; `KerasEngine` is Keras on TensorFlow or JAX.
Another engine needs one function per batch size: `BucketedNetwork` does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

Array = NDArray[Any]
CompiledBatch = Callable[[Array], Sequence[Array]]

BUCKETS = (1, 2, 4, 8, 16, 32)
MAX_PADDING = 0.25


class Network(Protocol):
    """A model ready to run."""

    def __call__(self, batch: Array) -> Array:
        """Return the only output of the model for ``(N, ...)`` of its input's shape and dtype.

        Any N >= 0, as one array ``(N, ...)``. Raises `ValueError` for another shape or dtype,
        `TypeError` if the model has several outputs.
        """
        ...

    def outputs(self, batch: Array) -> tuple[Array, ...]:
        """Return every output of the model, each ``(N, ...)``; else as `__call__`."""
        ...

    def warm_up(self) -> None:
        """Compile every batch size, so that no later batch waits for it."""
        ...


class Engine(Protocol):
    """Turns Keras models into networks. `name` says how they run, for logs and metrics."""

    @property
    def name(self) -> str: ...

    def compile(self, model: keras.Model, *, buckets: Sequence[int] = BUCKETS) -> Network:
        """Return the network of a functional model with one input, whose batch size is free.

        Only batches of the sizes in `buckets` are ever compiled.
        """
        ...


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One item of a batch: its shape and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"({', '.join(['N', *map(str, self.shape)])}) {self.dtype}"


class BucketedNetwork:
    """Feeds batches of any size to functions of fixed sizes.

    compile_batch  returns the function for one batch size: ``(size, ...)`` -> its outputs
    """

    def __init__(
        self,
        compile_batch: Callable[[int], CompiledBatch],
        *,
        takes: ArraySpec,
        gives: Sequence[ArraySpec],
        buckets: Sequence[int] = BUCKETS,
    ) -> None:
        self._compile_batch = compile_batch
        self._takes = takes
        self._gives = tuple(gives)
        self._buckets = tuple(sorted(set(buckets)))
        if not self._buckets or self._buckets[0] < 1:
            raise ValueError(f"expected batch sizes of at least 1, got {list(buckets)}")
        self._compiled: dict[int, CompiledBatch] = {}

    def __call__(self, batch: Array) -> Array:
        if len(self._gives) != 1:
            raise TypeError(f"this model has {len(self._gives)} outputs: call outputs()")
        return self.outputs(batch)[0]

    def outputs(self, batch: Array) -> tuple[Array, ...]:
        if batch.shape[1:] != self._takes.shape or batch.dtype != self._takes.dtype:
            raise ValueError(f"expected {self._takes}, got {batch.shape} {batch.dtype}")
        parts: list[Sequence[Array]] = []
        start = 0
        for count, bucket in split_batch(len(batch), self._buckets):
            part = self._function(bucket)(_padded(batch[start : start + count], bucket))
            parts.append([output[:count] for output in part])
            start += count
        if not parts:
            return tuple(np.empty((0, *spec.shape), spec.dtype) for spec in self._gives)
        if len(parts) == 1:
            return tuple(parts[0])
        return tuple(np.concatenate(outputs) for outputs in zip(*parts, strict=True))

    def warm_up(self) -> None:
        for bucket in self._buckets:
            self._function(bucket)(np.zeros((bucket, *self._takes.shape), self._takes.dtype))

    def _function(self, bucket: int) -> CompiledBatch:
        if bucket not in self._compiled:
            self._compiled[bucket] = self._compile_batch(bucket)
        return self._compiled[bucket]


def split_batch(size: int, buckets: Sequence[int]) -> list[tuple[int, int]]:
    """Return how to run `size` items: pairs (items, batch size they are padded to).

    `buckets` rise. What is larger than the largest is split. So is what would be padded by more
    than a quarter: on a CPU a padded item costs as much as a real one (17 padded to 32 would
    take 1.9 times as long as 16 and 1).
    """
    parts = []
    while size > 0:
        fitting = [bucket for bucket in buckets if bucket <= size]
        roomy = [bucket for bucket in buckets if bucket >= size]
        if roomy and (not fitting or roomy[0] - size <= MAX_PADDING * roomy[0]):
            parts.append((size, roomy[0]))
            break
        parts.append((fitting[-1], fitting[-1]))
        size -= fitting[-1]
    return parts


class KerasEngine:
    """Keras on the backend it was started with (``KERAS_BACKEND``): TensorFlow or JAX.

    Raises `RuntimeError` when Keras runs on another backend.
    """

    def __init__(self) -> None:
        import keras

        self._backend: str = keras.backend.backend()
        if self._backend not in ("tensorflow", "jax"):
            raise RuntimeError(f"expected Keras on tensorflow or jax, got {self._backend}")

    @property
    def name(self) -> str:
        return f"keras-{self._backend}"

    def compile(self, model: keras.Model, *, buckets: Sequence[int] = BUCKETS) -> Network:
        if len(model.inputs) != 1:
            raise ValueError(f"expected a model with one input, got {len(model.inputs)}")
        takes = _spec(model.inputs[0])

        if self._backend == "jax":
            compile_batch: Callable[[int], CompiledBatch] = partial(_compile_jax, model, takes)
        else:
            # One graph serves every batch size as fast as a graph for each would, and tracing six
            # of the classifier's takes eight seconds.
            any_size = _compile_tensorflow(model, takes)

            def compile_batch(_size: int) -> CompiledBatch:
                return any_size

        gives = [_spec(output) for output in model.outputs]
        return BucketedNetwork(compile_batch, takes=takes, gives=gives, buckets=buckets)


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


def _spec(tensor: Any) -> ArraySpec:
    shape = tuple(tensor.shape[1:])
    if None in shape:
        raise ValueError(f"{tensor.name}: expected all sides fixed but the batch, got {shape}")
    return ArraySpec(shape, np.dtype(tensor.dtype))


def _padded(batch: Array, size: int) -> Array:
    if len(batch) == size:
        return batch
    padded = np.zeros((size, *batch.shape[1:]), batch.dtype)
    padded[: len(batch)] = batch
    return padded
