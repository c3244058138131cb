"""Batches of any size on functions of fixed sizes; one real Keras model with two outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine import ArraySpec, BucketedNetwork, CompiledBatch, ModelSource, split_batch
from worker.engines.keras import KerasEngine

if TYPE_CHECKING:
    import keras

PAIR = ArraySpec((2,), np.dtype(np.float32))
ONE = ArraySpec((), np.dtype(np.float32))


class Recorder:
    """Sums and doubles each pair, and keeps the batches it was run with."""

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []
        self.compiled: list[int] = []

    def compile_batch(self, size: int) -> CompiledBatch:
        self.compiled.append(size)

        def run(batch: np.ndarray) -> Sequence[np.ndarray]:
            assert len(batch) == size
            self.batches.append(batch)
            return [batch.sum(axis=1), batch * 2]

        return run

    def network(self, buckets: Sequence[int]) -> BucketedNetwork:
        return BucketedNetwork(self.compile_batch, takes=PAIR, gives=[ONE, PAIR], buckets=buckets)


def pairs(count: int) -> np.ndarray:
    return np.arange(count * 2, dtype=np.float32).reshape(count, 2)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, []),
        (1, [(1, 1)]),
        (3, [(3, 4)]),
        (5, [(4, 4), (1, 1)]),
        (7, [(7, 8)]),
        (17, [(16, 16), (1, 1)]),
        (70, [(32, 32), (32, 32), (6, 8)]),
    ],
)
def test_a_batch_is_padded_a_little_or_split(size: int, expected: list[tuple[int, int]]) -> None:
    assert split_batch(size, (1, 2, 4, 8, 16, 32)) == expected


def test_a_batch_below_the_smallest_bucket_is_padded() -> None:
    assert split_batch(1, (8,)) == [(1, 8)]
    assert split_batch(9, (8,)) == [(8, 8), (1, 8)]


@given(st.integers(0, 500), st.sets(st.integers(1, 64), min_size=1))
def test_every_item_runs_once(size: int, buckets: set[int]) -> None:
    parts = split_batch(size, sorted(buckets))

    assert sum(count for count, _ in parts) == size
    assert all(1 <= count <= bucket and bucket in buckets for count, bucket in parts)


@given(st.integers(0, 40), st.sets(st.integers(1, 16), min_size=1))
def test_results_do_not_depend_on_the_buckets(size: int, buckets: set[int]) -> None:
    batch = pairs(size)

    sums, doubles = Recorder().network(sorted(buckets)).outputs(batch)

    np.testing.assert_array_equal(sums, batch.sum(axis=1))
    np.testing.assert_array_equal(doubles, batch * 2)


def test_padding_is_zeros() -> None:
    recorder = Recorder()

    recorder.network([4]).outputs(pairs(3) + 1)

    (batch,) = recorder.batches
    np.testing.assert_array_equal(batch[3], [0, 0])


def test_an_empty_batch_runs_nothing() -> None:
    recorder = Recorder()

    sums, doubles = recorder.network([1, 2]).outputs(pairs(0))

    assert (sums.shape, doubles.shape) == ((0,), (0, 2))
    assert sums.dtype == doubles.dtype == np.float32
    assert recorder.batches == []


def test_warm_up_compiles_every_size_once() -> None:
    recorder = Recorder()
    network = recorder.network([4, 1, 2])

    network.warm_up()
    network.outputs(pairs(7))

    assert recorder.compiled == [1, 2, 4]


def test_other_batches_are_refused() -> None:
    network = Recorder().network([1])

    with pytest.raises(ValueError, match=r"expected \(N, 2\) float32, got \(1, 3\) float32"):
        network.outputs(np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match=r"expected \(N, 2\) float32, got \(1, 2\) uint8"):
        network.outputs(np.zeros((1, 2), np.uint8))
    with pytest.raises(TypeError, match=r"2 outputs"):
        network(pairs(1))


@pytest.mark.parametrize("buckets", [[], [0, 1]])
def test_impossible_buckets_are_refused(buckets: list[int]) -> None:
    with pytest.raises(ValueError, match="expected batch sizes of at least 1"):
        Recorder().network(buckets)


def two_outputs() -> keras.Model:
    """Means of maps and the maps; with layers that behave otherwise while training."""
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), dtype="uint8")
    maps = keras.layers.Conv2D(4, 3)(keras.ops.cast(image, "float32"))
    maps = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(maps))
    return keras.Model(image, (keras.layers.GlobalAveragePooling2D()(maps), maps))


def source(
    build: Callable[[], keras.Model] = two_outputs, side_px: int = 8, int8: Path | None = None
) -> ModelSource:
    return ModelSource(
        name="small",
        fingerprint="0" * 64,
        takes=ArraySpec((side_px, side_px, 3), np.dtype(np.uint8)),
        gives=(ArraySpec((4,), np.dtype(np.float32)), ArraySpec((6, 6, 4), np.dtype(np.float32))),
        build=build,
        int8=int8,
    )


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)


def test_keras_models_give_the_same_for_every_batch_size() -> None:
    import keras

    batch = images(7)
    engine = KerasEngine()

    means, found = engine.compile(source(), buckets=[1, 2, 4]).outputs(batch)
    other_means, other_found = engine.compile(source(), buckets=[8]).outputs(batch)

    assert engine.name == f"keras-{keras.backend.backend()}"
    assert (means.shape, found.shape) == ((7, 4), (7, 6, 6, 4))
    np.testing.assert_allclose(means, other_means, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found, other_found, rtol=1e-4, atol=1e-3)
    expected, _ = two_outputs()(batch, training=False)
    np.testing.assert_allclose(means, np.asarray(expected), rtol=1e-4, atol=1e-3)


def test_a_model_that_is_not_what_its_source_says_is_refused() -> None:
    with pytest.raises(ValueError, match=r"small: expected a model from \(N, 9, 9, 3\) uint8"):
        KerasEngine().compile(source(side_px=9))
