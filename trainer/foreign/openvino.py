"""OpenVINO's IR, an .xml and a .bin: for Intel's CPUs, GPUs and NPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.foreign.graph import INPUT, OUTPUT
from trainer.quantize import ir
from worker.engine import ArraySpec, ModelSource

FILE = "model.xml"


def write(model: Any, folder: Path) -> None:
    """Write `model`, see `deployed`, into `folder`, as the worker's engine converts it."""
    (taken,), (given,) = model.inputs, model.outputs
    converted = ir.float_form(
        ModelSource(
            name="classifier",
            fingerprint="",
            takes=ArraySpec(tuple(taken.shape[1:]), np.dtype(np.uint8)),
            gives=(ArraySpec(tuple(given.shape[1:]), np.dtype(np.float32)),),
            build=lambda: model,
        )
    )
    converted.inputs[0].set_names({INPUT})
    converted.outputs[0].set_names({OUTPUT})
    ir.save(converted, folder / FILE)


def run(folder: Path, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What OpenVINO makes of crops (N, side, side, 1)."""
    return run_file(folder / FILE, crops)


def run_file(path: Path, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The same of any file that it reads; in float32, whatever the CPU prefers."""
    import openvino

    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled({INPUT: crops})[OUTPUT])


def versions() -> dict[str, str]:
    import openvino

    return {"openvino": openvino.__version__}


def require() -> None:
    """Nothing is needed that the trainer can be without."""
