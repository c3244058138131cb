"""The classifier's int8 form: what it loses.

Tried on FER+ validation (n=3199; float 89.97 %), calibrated with 400 training crops, the float
layers in bfloat16:

| recipe | accuracy | same label |
|---|---|---|
| NNCF's defaults (mean of extremes, fast bias correction) | 89.47 | 98.34 |
| extremes not averaged | 89.75 | 98.78 |
| and the first convolution and the last layer float | 89.90 | 98.78 |
| and the slow bias correction | 89.87 | 99.16 |
| and the first weights' whole range: this one | 89.84 | 99.12 |
| NNCF's defaults, 1 in 10,000 activations clipped | 89.43 | 97.81 |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.quantize import ir
from trainer.quantize.faces import Faces

MAX_LOSS = 0.005


@dataclass(frozen=True, slots=True)
class ClassifierCost:
    """Accuracies are shares of `n` photos; of several precisions the worst counts.

    n               photos that were not trained on, with a majority
    float_accuracy  in float32
    accuracy        in int8
    agreement       share of photos with the label that float32 gives
    """

    n: int
    float_accuracy: float
    accuracy: float
    agreement: float

    @property
    def loss(self) -> float:
        return self.float_accuracy - self.accuracy

    @property
    def fault(self) -> str | None:
        """Why this is too much, or None."""
        if self.loss <= MAX_LOSS:
            return None
        return f"loses {self.loss * 100:.2f} points of accuracy, {MAX_LOSS * 100:g} at most"


def is_float(model: Any) -> Callable[[Any], bool]:
    """The first convolution, which sees the photo, and the last layer, which gives the scores."""
    types = ("Convolution", "MatMul")
    weighted = [op for op in model.get_ordered_ops() if op.get_type_name() in types]
    ends = {op.get_friendly_name() for op in (weighted[0], weighted[-1])}
    return lambda op: op.get_friendly_name() in ends


def measure(
    before: Any,
    after: Any,
    faces: Faces,
    start: Callable[[str, int], Callable[[int], object]],
) -> ClassifierCost:
    """What `after`, the int8 form, loses against `before` on `faces`.

    start   begins a progress bar of a name and a total; returns what advances it
    """
    crops, truth = faces.crops, faces.truth

    def labels(model: Any, precision: str, name: str) -> npt.NDArray[np.int64]:
        progress = start(f"classifier {name}", len(crops))
        outputs = np.stack(ir.run(model, crops, precision, list, progress))
        return np.asarray(outputs.argmax(axis=1), np.int64)

    reference = labels(before, "f32", "float32")
    found = [labels(after, precision, f"int8+{precision}") for precision in ir.precisions()]
    return ClassifierCost(
        n=len(crops),
        float_accuracy=float((reference == truth).mean()),
        accuracy=min(float((one == truth).mean()) for one in found),
        agreement=min(float((one == reference).mean()) for one in found),
    )


def describe(cost: ClassifierCost) -> str:
    return (
        f"accuracy {cost.accuracy:.2%}, {cost.float_accuracy:.2%} in float32, n={cost.n:,}; "
        f"same label {cost.agreement:.2%}"
    )
