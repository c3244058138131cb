"""OpenVINO's form of a network (IR) in the trainer's hands: made, saved, run."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contract.process.logs import native_output_to_debug
from contract.process.settings import usable_cores
from worker.engine import ModelSource

_BATCH_SIZE = 8
# Written last into the .xml: versions, conversion and quantisation settings, and with them paths.
_MODEL_INFO = re.compile(r"\n\t<rt_info>.*</rt_info>\n</net>\s*\Z", re.DOTALL)


def float_form(source: ModelSource) -> Any:
    """The `openvino.Model` of a network in float32, as the worker's engine converts it."""
    with native_output_to_debug():
        from worker.engines.convert import convert

        return convert(source)


def save(model: Any, xml: Path) -> None:
    """Write `xml` and the .bin beside it: the same model, the same bytes."""
    import openvino

    openvino.save_model(model, xml, compress_to_fp16=False)
    text, stripped = _MODEL_INFO.subn("\n</net>\n", xml.read_text("utf-8"))
    if stripped != 1:
        raise RuntimeError(
            f"{xml}: expected <rt_info> at its end; has OpenVINO changed its format?"
        )
    xml.write_text(text, "utf-8")


def precisions() -> tuple[str, ...]:
    """What the float layers of an int8 network can run in on this machine."""
    import openvino

    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("f32", "bf16") if "BF16" in capabilities else ("f32",)


def run(
    model: Any,
    items: Sequence[npt.NDArray[np.uint8]],
    precision: str,
    keep: Callable[[npt.NDArray[np.float32]], list[Any]],
    on_progress: Callable[[int], object],
) -> list[Any]:
    """What `keep` makes of the outputs (N, ...) of a batch, for all items in order.

    precision     "f32" or "bf16": what layers compute in that are not int8
    on_progress   gets the number of items that are done now
    """
    import openvino

    cores = usable_cores()
    compiled = openvino.Core().compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": cores,
            "NUM_STREAMS": str(cores),
        },
    )
    kept: dict[int, list[Any]] = {}

    def done(request: Any, start: int) -> None:
        kept[start] = keep(request.get_output_tensor().data.copy())
        on_progress(len(kept[start]))

    queue = openvino.AsyncInferQueue(compiled, cores)
    queue.set_callback(done)
    for start in range(0, len(items), _BATCH_SIZE):
        queue.start_async([np.stack(items[start : start + _BATCH_SIZE])], start)
    queue.wait_all()
    return [item for start in sorted(kept) for item in kept[start]]
