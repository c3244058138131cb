"""Everything that an evaluation leaves in a folder: report, pictures, model card."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from contract.artifact import ModelManifest
from contract.errors import EmotionStreamError
from trainer.card import model_card
from trainer.measure import Measurement
from trainer.plots import plot_confusion, plot_reliability, plot_sizes
from trainer.report import as_json

CARD = "card.md"


def write_all(
    out: Path, manifest: ModelManifest, measured: Sequence[Measurement], side_px: int
) -> Path:
    """Write into the folder `out`, made if need be, and return the card's path.

    Each file is moved into place when all are complete. `side_px`: side of the crops of the first
    measurement. Raises `EmotionStreamError` when the disk is full or the folder cannot be written.
    """
    first = measured[0]
    title = f"{manifest.name} on {first.data}"
    pictures = {
        "Confusion matrix": "confusion.png",
        "Reliability diagram": "reliability.png",
        "Accuracy by size of the face": "sizes.png",
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=".report-") as temporary:
            folder = Path(temporary)
            confusion, reliability, sizes = (folder / name for name in pictures.values())
            plot_confusion(first.single, manifest.labels, title, confusion)
            plot_reliability(first.probabilities, first.truth, title, reliability)
            plot_sizes(first.by_size, first.single, side_px, title, sizes)
            (folder / "report.json").write_text(as_json(manifest, measured) + "\n", "utf-8")
            (folder / CARD).write_text(model_card(manifest, measured, pictures), "utf-8")
            for file in sorted(folder.iterdir()):
                shutil.move(file, out / file.name)
    except OSError as error:
        raise EmotionStreamError(f"{out}: cannot write the report: {error}") from error
    return out / CARD
