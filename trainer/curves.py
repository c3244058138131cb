"""Learning curves as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.whole import whole


def draw_curves(path: Path, history: Sequence[Mapping[str, float]], title: str) -> None:
    """Loss and accuracy of an epoch each, training and validation, as a PNG."""
    # Not pyplot: it would keep every figure, and look for a screen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    FigureCanvasAgg(figure)
    epochs = [entry["epoch"] for entry in history]
    for place, (name, unit, scale) in enumerate((("loss", "nats", 1), ("accuracy", "%", 100)), 1):
        axes = figure.add_subplot(1, 2, place)
        for prefix, label in (("", "training"), ("valid_", "validation")):
            axes.plot(epochs, [scale * entry[prefix + name] for entry in history], label=label)
        axes.set(xlabel="epoch", ylabel=f"{name} ({unit})")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    with whole(path) as unfinished:
        figure.savefig(unfinished, dpi=120)
