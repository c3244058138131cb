"""ONNX, https://onnx.ai: for ONNX Runtime, TensorRT, browsers and many more."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contract.errors import UsageError
from trainer.foreign.graph import INPUT, OUTPUT
from worker.engines.telemetry import refuse_telemetry

FILE = "model.onnx"
NEEDS = ("tf2onnx", "onnx")


def write(model: Any, folder: Path) -> None:
    """Write `model`, see `deployed`, into `folder`, by Keras' own export."""
    import onnx

    path = folder / FILE
    model(np.zeros((1, *model.input_shape[1:]), np.uint8))  # or Keras says it was never called
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)  # keras asks for np.object
        model.export(path, format="onnx", verbose=False)
    written = onnx.load(path)
    (taken,), (given,) = written.graph.input, written.graph.output
    # tf2onnx names them after its own counters.
    for node in written.graph.node:
        for names, old, new in (
            (node.input, taken.name, INPUT),
            (node.output, given.name, OUTPUT),
        ):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
    taken.name, given.name = INPUT, OUTPUT
    for value in (taken, given):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.checker.check_model(written, full_check=True)
    onnx.save(written, path)


def run(folder: Path, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What ONNX Runtime makes of crops (N, side, side, 1); OpenVINO, where that is missing."""
    if find_spec("onnxruntime") is not None:
        import onnxruntime

        session = onnxruntime.InferenceSession(
            str(folder / FILE), providers=["CPUExecutionProvider"]
        )
        return np.asarray(session.run([OUTPUT], {INPUT: crops})[0])
    refuse_telemetry()
    from trainer.foreign.openvino import run_file

    return run_file(folder / FILE, crops)


def versions() -> dict[str, str]:
    import onnx
    import tf2onnx

    return {"tf2onnx": tf2onnx.__version__, "onnx": onnx.__version__}


def require() -> None:
    """Raise `UsageError` where a package is missing."""
    if missing := [name for name in NEEDS if find_spec(name) is None]:
        raise UsageError(f"--format onnx needs {' '.join(missing)}: pip install {' '.join(NEEDS)}")
