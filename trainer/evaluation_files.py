"""Everything that an evaluation leaves in a folder: report, pictures, model card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from contract.artifact import ModelManifest
from trainer.card import model_card
from trainer.measure import Measurement
from trainer.plots import plot_confusion, plot_reliability, plot_sizes
from trainer.report import as_json
from trainer.whole import write_text

CARD = "card.md"


def write_all(
    out: Path, manifest: ModelManifest, measured: Sequence[Measurement], side_px: int
) -> Path:
    """Write into the folder `out`, made if need be, and return the card's path.

    Each file is there whole or not at all. `side_px`: side of the crops of the first measurement.
    Raises `UsageError` when the disk is full or the folder cannot be written.
    """
    first = measured[0]
    title = f"{manifest.name} on {first.data}"
    pictures = {
        "Confusion matrix": "confusion.png",
        "Reliability diagram": "reliability.png",
        "Accuracy by size of the face": "sizes.png",
    }
    confusion, reliability, sizes = (out / name for name in pictures.values())
    plot_confusion(first.single, manifest.labels, title, confusion)
    plot_reliability(first.probabilities, first.truth, title, reliability)
    plot_sizes(first.by_size, first.single, side_px, title, sizes)
    write_text(out / "report.json", as_json(manifest, measured) + "\n")
    write_text(out / CARD, model_card(manifest, measured, pictures))  # last: it shows the others
    return out / CARD
