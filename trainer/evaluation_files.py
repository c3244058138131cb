"""Everything that an evaluation leaves in a folder: report, pictures, model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from contract.artifact import ModelManifest
from trainer.card import model_card
from trainer.measure import Measurement
from trainer.plots import plot_confusion, plot_reliability, plot_sizes
from trainer.report import as_json, recorded
from trainer.whole import whole, write_text

CARD = "card.md"


def write_all(
    out: Path,
    manifest: ModelManifest,
    measured: Sequence[Measurement],
    side_px: int,
    int8: Measurement | None = None,
) -> Path:
    """Write into the folder `out`, made if need be, and return the card's path.

    Each file is there whole or not at all. `side_px`: side of the crops of the first measurement;
    `int8`: the same of the model's int8 form.
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
    write_text(out / "report.json", as_json(manifest, measured, int8) + "\n")
    card = model_card(manifest, measured, pictures, int8)
    write_text(out / CARD, card)  # last: it shows the others
    return out / CARD


def record(path: Path, measured: Sequence[Measurement], int8: Measurement | None) -> None:
    """Add what was measured to the manifest at `path`, replacing what it says of the same faces.

    The int8 form's is added to its own entry. Raises `UsageError` when it cannot be written.
    """
    manifest = ModelManifest.read(path)
    news = {found.data: recorded(found) for found in measured}
    manifest = replace(manifest, measured={**manifest.measured, **news})
    if int8 is not None and manifest.int8 is not None:
        said = {**manifest.int8.measured, int8.data: recorded(int8)}
        manifest = replace(manifest, int8=replace(manifest.int8, measured=said))
    with whole(path) as unfinished:
        manifest.write(unfinished)
