"""The model that comes with this package, by a name."""

from __future__ import annotations

from pathlib import Path

SHIPPED = "shipped"
# The trainer imports nothing of the worker that runs, but both come in one distribution.
SHIPPED_MODEL = Path(__file__).parents[1] / "worker" / "models" / "ferplus_resnet50.keras"


def model_path(given: Path) -> Path:
    """`given`, or the shipped model's path where that says "shipped"."""
    return SHIPPED_MODEL if str(given) == SHIPPED else given
