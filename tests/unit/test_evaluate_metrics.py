"""Metrics of classifier outputs: hand-computed cases, and a second way of computing each."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trainer.evaluate import (
    Floats,
    Ints,
    accuracy,
    as_logits,
    bootstrap,
    calibration_error,
    confusion_matrix,
    evaluate,
    f1,
    macro_f1,
    percentile_interval,
    precision_recall,
    softmax,
)
from trainer.plots import wilson

TRUTH = np.array([0, 0, 0, 1, 1, 2], np.int64)
PREDICTED = np.array([0, 0, 1, 1, 0, 1], np.int64)


@st.composite
def classified(draw: st.DrawFn) -> tuple[Floats, Ints]:
    """Logits (N, K) with their true classes (N,)."""
    n, k = draw(st.integers(1, 60)), draw(st.integers(2, 9))
    values = st.floats(-30, 30, allow_nan=False, width=32)
    logits = draw(arrays.arrays(np.float64, (n, k), elements=values))
    truth = draw(arrays.arrays(np.int64, n, elements=st.integers(0, k - 1)))
    return logits, truth


def one_hot(classes: Ints, k: int) -> Floats:
    return np.eye(k)[classes]


def test_confusion_by_hand() -> None:
    confusion = confusion_matrix(TRUTH, PREDICTED, 4)
    assert confusion.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert accuracy(confusion) == 0.5
    precision, recall = precision_recall(confusion)
    np.testing.assert_allclose(precision, [2 / 3, 1 / 3, np.nan, np.nan])
    np.testing.assert_allclose(recall, [2 / 3, 1 / 2, 0, np.nan])
    np.testing.assert_allclose(f1(confusion), [2 / 3, 2 / 5, 0, np.nan])
    assert macro_f1(confusion) == pytest.approx((2 / 3 + 2 / 5) / 3)


@given(classified())
def test_macro_f1_is_the_mean_of_harmonic_means(data: tuple[Floats, Ints]) -> None:
    logits, truth = data
    predicted = logits.argmax(axis=1)
    scores = []
    for label in set(truth.tolist()) | set(predicted.tolist()):
        hits = sum(1 for t, p in zip(truth, predicted, strict=True) if t == p == label)
        claimed, real = predicted.tolist().count(label), truth.tolist().count(label)
        precision = hits / claimed if claimed else 0.0
        recall = hits / real if real else 0.0
        both = precision + recall
        scores.append(2 * precision * recall / both if both else 0.0)
    confusion = confusion_matrix(truth, predicted, logits.shape[1])
    assert macro_f1(confusion) == pytest.approx(math.fsum(scores) / len(scores))


def test_a_perfect_and_a_hopeless_classifier() -> None:
    truth = np.array([0, 1, 2, 2], np.int64)
    perfect = evaluate(20 * one_hot(truth, 3), truth, 1.0)
    assert (perfect.accuracy, perfect.macro_f1, perfect.accuracy_interval) == (1, 1, (1, 1))
    assert perfect.ece_before == pytest.approx(0, abs=1e-6)
    hopeless = evaluate(20 * one_hot((truth + 1) % 3, 3), truth, 1.0)
    assert (hopeless.accuracy, hopeless.macro_f1) == (0, 0)
    assert hopeless.ece_before == pytest.approx(1, abs=1e-6)


def test_calibration_error_by_hand() -> None:
    # Two bins: (0, .5] holds nothing; all four in (.5, 1]: accuracy .75, mean confidence .8.
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.8, 0.2]])
    truth = np.array([0, 0, 1, 1], np.int64)
    assert calibration_error(probabilities, truth, bins=2) == pytest.approx(0.05)
    # Ten bins: .7 right, .8 one of two right, .9 right: (1 * .3 + 2 * .3 + 1 * .1) / 4.
    assert calibration_error(probabilities, truth, bins=10) == pytest.approx(0.25)


def test_a_bin_holds_its_upper_edge() -> None:
    # .5 belongs to (0, .5] and .51 to (.5, 1]; in one bin right and wrong would cancel out.
    probabilities = np.array([[0.5, 0.5], [0.51, 0.49]])
    truth = np.array([0, 1], np.int64)
    assert calibration_error(probabilities, truth, bins=2) == pytest.approx((0.5 + 0.51) / 2)


@given(classified(), st.floats(0.05, 20))
def test_calibration_error_bounds(data: tuple[Floats, Ints], temperature: float) -> None:
    logits, truth = data
    probabilities = softmax(logits, temperature)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    ece = calibration_error(probabilities, truth)
    # At least the gap of one bin for all, at most that of one bin for each image.
    assert abs(right.mean() - confidence.mean()) - 1e-9 <= ece
    assert ece <= np.abs(right - confidence).mean() + 1e-9


@given(classified())
def test_calibration_error_bin_by_bin(data: tuple[Floats, Ints]) -> None:
    logits, truth = data
    probabilities = softmax(logits)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    total = 0.0
    for index in range(15):
        inside = (confidence > index / 15) & (confidence <= (index + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert calibration_error(probabilities, truth) == pytest.approx(total, abs=1e-9)


@given(classified(), st.floats(0.05, 20))
@settings(max_examples=30)
def test_a_temperature_changes_confidence_and_nothing_else(
    data: tuple[Floats, Ints], temperature: float
) -> None:
    logits, truth = data
    plain, scaled = evaluate(logits, truth, 1.0), evaluate(logits, truth, temperature)
    assert plain.ece_before == plain.ece_after == scaled.ece_before
    assert (plain.accuracy, plain.macro_f1) == (scaled.accuracy, scaled.macro_f1)
    assert plain.accuracy_interval == scaled.accuracy_interval


def test_probabilities_become_logits() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]], np.float32)
    np.testing.assert_allclose(
        softmax(as_logits(probabilities, "probabilities")), probabilities, atol=1e-6
    )
    logits = np.array([[3.0, -1.0]], np.float32)
    assert as_logits(logits, "logits").tolist() == logits.tolist()


def test_bootstrap_agrees_with_resampling_images() -> None:
    generator = np.random.default_rng(3)
    truth = generator.integers(0, 3, 400)
    predicted = np.where(generator.random(400) < 0.8, truth, generator.integers(0, 3, 400))
    confusion = confusion_matrix(truth, predicted, 3)
    resampled = bootstrap(confusion)
    assert (resampled.sum(axis=(1, 2)) == 400).all()
    by_image = []
    for _ in range(2000):
        rows = generator.integers(0, 400, 400)
        by_image.append(float(macro_f1(confusion_matrix(truth[rows], predicted[rows], 3))))
    expected = percentile_interval(np.array(by_image))
    assert percentile_interval(macro_f1(resampled)) == pytest.approx(expected, abs=0.01)
    low, high = percentile_interval(accuracy(resampled))
    p = float(accuracy(confusion))
    assert (high - low) / 2 == pytest.approx(1.96 * math.sqrt(p * (1 - p) / 400), rel=0.1)


def test_the_same_outputs_give_the_same_interval() -> None:
    logits = np.random.default_rng(0).normal(size=(50, 3))
    truth = np.arange(50, dtype=np.int64) % 3
    assert evaluate(logits, truth, 1.0).macro_f1_interval == (
        evaluate(logits, truth, 1.0).macro_f1_interval
    )


@pytest.mark.parametrize(
    ("logits", "truth", "text"),
    [
        (np.zeros((0, 3)), np.zeros(0, np.int64), "N >= 1"),
        (np.zeros((2, 3)), np.zeros(3, np.int64), r"got \(2, 3\), \(3,\)"),
        (np.zeros(3), np.zeros(3, np.int64), "expected logits"),
        (np.full((1, 3), np.nan), np.zeros(1, np.int64), "finite"),
    ],
)
def test_other_arrays_are_refused(logits: Floats, truth: Ints, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        evaluate(logits, truth, 1.0)


def test_a_share_of_few_has_a_wide_interval() -> None:
    # Wilson's own formula, at 95 %, by hand; known from tables.
    low, high = wilson(np.array([1.0, 8.0, 0.0]), np.array([1, 10, 5]))
    np.testing.assert_allclose(low, [0.2065, 0.4902, 0.0], atol=1e-4)
    np.testing.assert_allclose(high, [1.0, 0.9433, 0.4345], atol=1e-4)
