"""Batches of any size on functions of fixed sizes; one real Keras model with two outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import UsageError
from tests.small_model import images, source, two_outputs
from worker.engine import ArraySpec, BucketedNetwork, CompiledBatch, split_batch
from worker.engines.keras import KerasEngine, in_bfloat16

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


def test_nothing_is_padded_where_padding_never_pays() -> None:
    assert split_batch(7, (1, 2, 4, 8), 0.0) == [(4, 4), (2, 2), (1, 1)]


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


def test_bfloat16_keeps_weights_inputs_and_outputs() -> None:
    model = two_outputs()
    batch = images(5)

    fast = in_bfloat16(model)

    assert [str(w.dtype) for w in fast.weights] == ["float32"] * len(fast.weights)
    assert [str(output.dtype) for output in fast.outputs] == ["float32"] * 2
    exact, _ = model(batch, training=False)
    means, _ = fast(batch, training=False)
    error = np.abs(np.asarray(means) - np.asarray(exact)).max() / np.abs(np.asarray(exact)).max()
    assert 0 < error < 0.01  # 0 would be float32


def test_keras_has_no_int8() -> None:
    with pytest.raises(UsageError, match="--precision int8: Keras has none"):
        KerasEngine("int8")
