"""One temperature for a classifier, so that its scores are the shares they claim to be."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from trainer.evaluate import Floats, softmax

LEAST, MOST = 0.05, 20.0
_STEPS = 60  # of a golden section: the last bracket is 1e-12 of the first
_GOLDEN = (math.sqrt(5) - 1) / 2


def fit_temperature(logits: npt.NDArray[np.floating], targets: Floats) -> float:
    """The temperature, 0.05..20, that makes the cross-entropy of logits (N, K) against targets
    (N, K) least; a row of `targets` is a distribution over the classes.

    Temperature scaling, Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. Fit it
    on images that neither trained nor will test the model. The cross-entropy has one minimum over
    1/T (it is convex there), so a golden section over log T finds it. Raises `ValueError` for
    other shapes and for logits that are not finite.
    """
    if logits.ndim != 2 or logits.shape != targets.shape or len(logits) == 0:
        raise ValueError(
            f"expected logits and targets (N, K) with N >= 1, got {logits.shape}, {targets.shape}"
        )
    if not np.isfinite(logits).all():
        raise ValueError("expected finite logits")

    def loss(log_temperature: float) -> float:
        return cross_entropy(softmax(logits, math.exp(log_temperature)), targets)

    low, high = math.log(LEAST), math.log(MOST)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    loss_left, loss_right = loss(left), loss(right)
    for _ in range(_STEPS):
        if loss_left <= loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - _GOLDEN * (high - low)
            loss_left = loss(left)
        else:
            low, left, loss_left = left, right, loss_right
            right = low + _GOLDEN * (high - low)
            loss_right = loss(right)
    return math.exp((low + high) / 2)


def cross_entropy(probabilities: Floats, targets: npt.NDArray[np.floating]) -> float:
    """Mean cross-entropy in nats of probabilities (N, K) against distributions (N, K)."""
    return float(-(targets * np.log(np.clip(probabilities, 1e-12, 1.0))).sum(axis=1).mean())


def one_hot(truth: npt.NDArray[np.int64], classes: int) -> Floats:
    """Distributions (N, classes) float64 that are sure of `truth` (N,)."""
    return np.asarray(np.eye(classes)[truth])
