"""What was measured, as pictures: PNG files for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluate import ECE_BINS, Evaluation, Floats, Ints
from trainer.whole import whole

_BLUE, _GRAY = "#2f6db3", "#9a9a9a"


def plot_confusion(found: Evaluation, labels: Sequence[str], title: str, path: Path) -> None:
    """The confusion matrix: each row in per cent of its truth, with the counts."""
    sums = found.confusion.sum(axis=1, keepdims=True)
    share = np.divide(found.confusion, sums, out=np.zeros(found.confusion.shape), where=sums > 0)
    figure = _figure(1.2 + 0.95 * len(labels), 1.0 + 0.8 * len(labels))
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(share.shape):
        count = int(found.confusion[row, column])
        if count:
            axes.text(
                column, row, f"{_percent(share[row, column])}\n{count:,}", ha="center", va="center",
                fontsize=8, color="white" if share[row, column] > 0.5 else "black",
            )  # fmt: skip
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true (majority of the votes)")
    axes.set_title(f"{title}\n{found.accuracy:.1%} of {found.n:,} right", fontsize=11)
    _save(figure, path)


def plot_reliability(probabilities: Floats, truth: Ints, title: str, path: Path) -> None:
    """Reliability diagram (Guo et al. 2017): accuracy against confidence, and how many there
    are."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == truth
    edges = np.linspace(0, 1, ECE_BINS + 1)
    place = np.clip(np.searchsorted(edges[1:-1], confidence, side="left"), 0, ECE_BINS - 1)
    counts = np.bincount(place, minlength=ECE_BINS)
    hits = np.bincount(place, weights=correct, minlength=ECE_BINS)
    middle, width = (edges[:-1] + edges[1:]) / 2, 1 / ECE_BINS
    figure = _figure(5, 5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = counts > 0
    right = hits[filled] / counts[filled]
    low, high = wilson(hits[filled], counts[filled].astype(np.int64))
    upper.bar(middle[filled], right, width * 0.92, color=_BLUE)
    # A bar of one face says nothing; its interval says so.
    upper.errorbar(
        middle[filled], right, [right - low, high - right],
        fmt="none", ecolor="black", elinewidth=1, capsize=2, label="95 %",
    )  # fmt: skip
    upper.plot([0, 1], [0, 1], "--", color=_GRAY, label="as sure as it is right")
    upper.set_ylabel("share that is right")
    upper.set_ylim(0, 1)
    upper.legend(loc="lower right")
    upper.set_title(title, fontsize=11)
    lower.bar(middle, counts, width * 0.92, color=_GRAY)
    lower.set_ylabel("faces")
    lower.set_xlabel("score of the top emotion")
    lower.set_xlim(0, 1)
    _save(figure, path)


def plot_sizes(
    by_size: Mapping[int, Evaluation], whole: Evaluation, side_px: int, title: str, path: Path
) -> None:
    """Accuracy against the size of the face, with 95 % intervals."""
    sides = [*sorted(by_size), *([side_px] if side_px not in by_size else [])]
    found = [by_size.get(side, whole) for side in sides]
    middle = np.array([one.accuracy for one in found]) * 100
    bounds = np.array([one.accuracy_interval for one in found]).T * 100
    figure = _figure(5, 3.6)
    axes = figure.subplots()
    axes.errorbar(sides, middle, np.abs(bounds - middle), marker="o", capsize=4, color=_BLUE)
    axes.set_xticks(sides)
    axes.set_xlabel("side of the face, pixels")
    axes.set_ylabel("accuracy, %")
    axes.grid(alpha=0.3)
    axes.set_title(title, fontsize=11)
    _save(figure, path)


def wilson(hits: npt.NDArray[Any], counts: Ints) -> tuple[Floats, Floats]:
    """The 95 % interval of shares `hits / counts` (N,), counts at least 1: it holds for few, too.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
    """
    z = 1.959964
    share = hits / counts
    middle = (share + z**2 / (2 * counts)) / (1 + z**2 / counts)
    reach = np.sqrt(share * (1 - share) / counts + z**2 / (4 * counts**2)) / (1 + z**2 / counts) * z
    return np.minimum(middle - reach, share), np.maximum(middle + reach, share)


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def _figure(width: float, height: float) -> Any:
    """So many inches; without pyplot, which keeps every figure and looks for a screen."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: Path) -> None:
    # No version inside: the same figures give the same file.
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=130, metadata={"Software": None})
