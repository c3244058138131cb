"""How good a classifier is: metrics of its outputs. Arrays in, numbers out; no I/O.

Everywhere N is the number of images and K the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Interval = tuple[float, float]

ECE_BINS = 15
BOOTSTRAP_SAMPLES = 10_000
BOOTSTRAP_SEED = 20161031  # any fixed number: the same outputs give the same interval


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `evaluate` found.

    n                     images
    accuracy              share of images whose top class is the true one
    accuracy_interval     its 95 % bootstrap interval
    macro_f1              mean F1 over the classes that occur as truth or as prediction
    macro_f1_interval     its 95 % bootstrap interval
    confusion             (K, K) int64, rows = truth, columns = prediction
    precision             (K,) float64, NaN for a class never predicted
    recall                (K,) float64, NaN for a class without images
    f1                    (K,) float64, NaN for a class that does not occur
    temperature           what the logits were divided by for `ece_after`
    ece_before            expected calibration error at temperature 1
    ece_after             expected calibration error at `temperature`
    """

    n: int
    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval
    confusion: Ints
    precision: Floats
    recall: Floats
    f1: Floats
    temperature: float
    ece_before: float
    ece_after: float


def evaluate(logits: npt.NDArray[np.floating], truth: Ints, temperature: float) -> Evaluation:
    """Everything about logits (N, K) float with the true classes (N,) int64; N is at least 1."""
    if logits.ndim != 2 or truth.shape != logits.shape[:1] or len(truth) == 0:
        raise ValueError(
            f"expected logits (N, K) and truth (N,) with N >= 1, got {logits.shape}, {truth.shape}"
        )
    if not np.isfinite(logits).all():
        raise ValueError("expected finite logits")
    confusion = confusion_matrix(truth, logits.argmax(axis=1), logits.shape[1])
    precision, recall = precision_recall(confusion)
    resampled = bootstrap(confusion)
    return Evaluation(
        n=len(truth),
        accuracy=float(accuracy(confusion)),
        accuracy_interval=percentile_interval(accuracy(resampled)),
        macro_f1=float(macro_f1(confusion)),
        macro_f1_interval=percentile_interval(macro_f1(resampled)),
        confusion=confusion,
        precision=precision,
        recall=recall,
        f1=f1(confusion),
        temperature=temperature,
        ece_before=calibration_error(softmax(logits), truth),
        ece_after=calibration_error(softmax(logits, temperature), truth),
    )


def as_logits(outputs: npt.NDArray[np.floating], output: str) -> Floats:
    """Logits (N, K) float64 of outputs (N, K) that a manifest calls "logits" or "probabilities".

    The worker does the same before it applies a temperature.
    """
    values = outputs.astype(np.float64)
    return np.log(np.clip(values, 1e-12, 1.0)) if output == "probabilities" else values


def softmax(logits: npt.NDArray[np.floating], temperature: float = 1.0) -> Floats:
    """Probabilities (N, K) float64 of logits (N, K) divided by `temperature`."""
    scaled = logits.astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def confusion_matrix(truth: Ints, predicted: Ints, classes: int) -> Ints:
    """Counts (K, K) int64, rows = truth, columns = prediction; both arguments (N,) int64."""
    cells = np.bincount(truth * classes + predicted, minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def accuracy(confusion: Ints) -> Floats:
    """Share on the diagonal of confusion matrices (..., K, K): (...) float64."""
    return np.asarray(_diagonal(confusion).sum(axis=-1) / confusion.sum(axis=(-2, -1)))


def precision_recall(confusion: Ints) -> tuple[Floats, Floats]:
    """Both per class, (..., K) float64, of (..., K, K); NaN where the denominator is 0."""
    hits = _diagonal(confusion)
    return _ratio(hits, confusion.sum(axis=-2)), _ratio(hits, confusion.sum(axis=-1))


def f1(confusion: Ints) -> Floats:
    """F1 per class, (..., K) float64, of (..., K, K); NaN where a class does not occur.

    2 hits / (truths + predictions): the harmonic mean of precision and recall, and 0 where one of
    the two is undefined.
    """
    truths_and_predictions = confusion.sum(axis=-2) + confusion.sum(axis=-1)
    return _ratio(2 * _diagonal(confusion), truths_and_predictions)


def macro_f1(confusion: Ints) -> Floats:
    """Mean F1 over the classes that occur as truth or prediction, (...) float64 of (..., K, K).

    The mean of the F1s, not the F1 of mean precision and recall (Opitz and Burst, "Macro F1 and
    Macro F1", 2019); the same classes as scikit-learn's `f1_score(average="macro")`.
    """
    return np.asarray(np.nanmean(f1(confusion), axis=-1))


def bootstrap(confusion: Ints, samples: int = BOOTSTRAP_SAMPLES) -> Ints:
    """Confusion matrices (samples, K, K) int64 of resampled images.

    Drawing N images with replacement (Efron, "Bootstrap Methods", 1979) and counting them again is
    a multinomial draw of N over the matrix's cells: the same distribution, in one call.
    """
    n = int(confusion.sum())
    generator = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = generator.multinomial(n, confusion.ravel() / n, size=samples)
    return drawn.reshape(samples, *confusion.shape).astype(np.int64)


def percentile_interval(values: Floats) -> Interval:
    """The middle 95 % of values (samples,) float64."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def calibration_error(probabilities: Floats, truth: Ints, bins: int = ECE_BINS) -> float:
    """Expected calibration error (ECE) of probabilities (N, K) with true classes (N,), 0..1.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3: images go into
    `bins` equally wide bins ((m-1)/bins, m/bins] by confidence, the top class's probability; ECE is
    the mean over images of |accuracy - mean confidence| of their bin.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == truth
    upper_edges = np.arange(1, bins) / bins
    bin_of = np.searchsorted(upper_edges, confidence, side="left")
    # |B|/N * |acc - conf| is |hits - sum of confidence| / N: empty bins need no special case.
    gaps = np.bincount(bin_of, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(truth))


def _diagonal(confusion: Ints) -> Ints:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _ratio(numerator: Ints, denominator: Ints) -> Floats:
    nothing = np.full(numerator.shape, np.nan)
    return np.asarray(np.divide(numerator, denominator, out=nothing, where=denominator > 0))
