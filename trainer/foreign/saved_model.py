"""TensorFlow's SavedModel: for TensorFlow Serving, TensorFlow Lite's converter, TensorFlow.js."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.foreign.graph import INPUT, OUTPUT

_SIGNATURE = "serving_default"


def write(model: Any, folder: Path) -> None:
    """Write `model`, see `deployed`, into `folder`, with one signature, "serving_default"."""
    import tensorflow

    # Not `model.export`: Keras 3.15 writes every variable twice.
    module = tensorflow.Module()
    module.held = [variable.value for variable in model.variables]
    module.serve = tensorflow.function(
        lambda crops: {OUTPUT: model(crops, training=False)},
        input_signature=[tensorflow.TensorSpec(model.input_shape, "uint8", INPUT)],
        autograph=False,
    )
    tensorflow.saved_model.save(module, str(folder), {_SIGNATURE: module.serve})


def run(folder: Path, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What TensorFlow makes of crops (N, side, side, 1)."""
    import tensorflow

    signature = tensorflow.saved_model.load(str(folder)).signatures[_SIGNATURE]
    return np.asarray(signature(**{INPUT: tensorflow.constant(crops)})[OUTPUT])


def versions() -> dict[str, str]:
    import tensorflow

    return {"tensorflow": tensorflow.__version__}


def require() -> None:
    """Nothing is needed that the trainer can be without."""
