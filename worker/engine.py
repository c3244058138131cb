"""What the worker knows of whatever runs its networks.

`ModelSource` says what a network is, an `Engine` (`worker.engines`) makes a `Network` of it.
`BucketedNetwork` is a network for engines that want batches of fixed sizes. Only numpy is needed
here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

Array = NDArray[Any]
CompiledBatch = Callable[[Array], Sequence[Array]]

BUCKETS = (1, 2, 4, 8, 16, 32)
MAX_PADDING = 0.25


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """One item of a batch: its shape and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"({', '.join(['N', *map(str, self.shape)])}) {self.dtype}"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A network, and the forms it can be had in.

    name         "detector" or "classifier": names cache files and is said in errors
    fingerprint  hexadecimal; changes whenever the network would (weights, code that builds it)
    takes        what one item of its only input is
    gives        what one item of each output is
    build        the functional Keras model of exactly that, batch size free; takes seconds, so it
                 is called only where no cached or quantised form serves
    cpu_batch    on one core, a larger batch is no faster an item
    int8         OpenVINO IR (.xml, its .bin beside it), verified, quantised from exactly this
                 network: the same input and output, batch size free; None if there is none
    """

    name: str
    fingerprint: str
    takes: ArraySpec
    gives: tuple[ArraySpec, ...]
    build: Callable[[], keras.Model]
    cpu_batch: int = 8
    int8: Path | None = None


class Network(Protocol):
    """A model ready to run; any number of threads may call it at once."""

    @property
    def precision(self) -> str:
        """What it computes in: "float32", "bfloat16", "float16" or "int8"."""
        ...

    def __call__(self, batch: Array) -> Array:
        """Return the only output of the model for ``(N, ...)`` of its input's shape and dtype.

        Any N >= 0, as one array ``(N, ...)`` of the caller's own. Raises `ValueError` for another
        shape or dtype, `TypeError` if the model has several outputs.
        """
        ...

    def outputs(self, batch: Array) -> tuple[Array, ...]:
        """Return every output of the model, each ``(N, ...)``; else as `__call__`."""
        ...

    def warm_up(self) -> None:
        """Compile every batch size, so that no later batch waits for it."""
        ...


class Engine(Protocol):
    """Turns models into networks. `name` says what runs them, for logs and metrics."""

    @property
    def name(self) -> str: ...

    @property
    def batch_size(self) -> int:
        """How many frames at once are enough to keep it busy; more would only wait longer."""
        ...

    @property
    def lanes(self) -> int:
        """How many threads, each with a batch of its own, keep it busy."""
        ...

    def compile(self, source: ModelSource, *, buckets: Sequence[int] = BUCKETS) -> Network:
        """Return the network of `source`, tuned for batches of the sizes in `buckets`.

        Raises `UsageError` when the source cannot be had in the precision that was asked for.
        """
        ...


class BucketedNetwork:
    """Feeds batches of any size to functions of fixed sizes.

    compile_batch  returns the function for one batch size: ``(size, ...)`` -> its outputs; never
                   called by two threads at once, unlike what it returns
    """

    def __init__(
        self,
        compile_batch: Callable[[int], CompiledBatch],
        *,
        takes: ArraySpec,
        gives: Sequence[ArraySpec],
        buckets: Sequence[int] = BUCKETS,
        precision: str = "float32",
        max_padding: float = MAX_PADDING,
    ) -> None:
        self.precision = precision
        self._max_padding = max_padding
        self._compile_batch = compile_batch
        self._takes = takes
        self._gives = tuple(gives)
        self._buckets = tuple(sorted(set(buckets)))
        if not self._buckets or self._buckets[0] < 1:
            raise ValueError(f"expected batch sizes of at least 1, got {list(buckets)}")
        self._compiled: dict[int, CompiledBatch] = {}
        self._compiling = threading.Lock()

    def __call__(self, batch: Array) -> Array:
        if len(self._gives) != 1:
            raise TypeError(f"this model has {len(self._gives)} outputs: call outputs()")
        return self.outputs(batch)[0]

    def outputs(self, batch: Array) -> tuple[Array, ...]:
        if batch.shape[1:] != self._takes.shape or batch.dtype != self._takes.dtype:
            raise ValueError(f"expected {self._takes}, got {batch.shape} {batch.dtype}")
        parts: list[Sequence[Array]] = []
        start = 0
        for count, bucket in split_batch(len(batch), self._buckets, self._max_padding):
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
        with self._compiling:
            if bucket not in self._compiled:
                self._compiled[bucket] = self._compile_batch(bucket)
            return self._compiled[bucket]


def split_batch(
    size: int, buckets: Sequence[int], max_padding: float = MAX_PADDING
) -> list[tuple[int, int]]:
    """Return how to run `size` items: pairs (items, batch size they are padded to).

    `buckets` rise. What is larger than the largest is split. So is what would be padded by more
    than `max_padding` of the bucket: on a CPU a padded item costs as much as a real one (17 padded
    to 32 would take 1.9 times as long as 16 and 1).
    """
    parts = []
    while size > 0:
        fitting = [bucket for bucket in buckets if bucket <= size]
        roomy = [bucket for bucket in buckets if bucket >= size]
        if roomy and (not fitting or roomy[0] - size <= max_padding * roomy[0]):
            parts.append((size, roomy[0]))
            break
        parts.append((fitting[-1], fitting[-1]))
        size -= fitting[-1]
    return parts


def _padded(batch: Array, size: int) -> Array:
    if len(batch) == size:
        return batch
    padded = np.zeros((size, *batch.shape[1:]), batch.dtype)
    padded[: len(batch)] = batch
    return padded
