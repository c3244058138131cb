"""Which engine runs the networks here, and why."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contract.process.gpus import usable_gpus
from worker.engine import Engine
from worker.engines.options import EngineName, Precision

if TYPE_CHECKING:
    from worker.engines.keras import KerasEngine


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine and the reason for it, in a few words."""

    engine: Engine
    reason: str


def choose_engine(
    name: EngineName = "auto", precision: Precision = "auto", *, threads: int, cache: Path
) -> Choice:
    """The engine asked for; "auto" is the fastest that is installed.

    That is Keras where TensorFlow or JAX uses a GPU or ``KERAS_BACKEND=jax`` asks for JAX, else
    OpenVINO if it is installed, which alone has int8. TensorFlow is imported only where there is an
    NVIDIA device that `CUDA_VISIBLE_DEVICES` does not hide.

    threads    cores to use
    cache      folder for what a later start can use again

    Raises `UsageError` when what was asked for is not to be had.
    """
    if name == "openvino":
        return Choice(_openvino(precision, threads, cache), "asked for")
    if name == "keras":
        return Choice(_keras(precision, threads), "asked for")
    has_openvino = importlib.util.find_spec("openvino") is not None
    if os.environ.get("KERAS_BACKEND") == "jax":
        return Choice(_keras(precision, threads), "KERAS_BACKEND=jax")
    if precision == "int8":
        return Choice(_openvino(precision, threads, cache), "only OpenVINO has int8")
    if usable_gpus():
        engine = _keras(precision, threads)
        if engine.on_gpu:
            return Choice(engine, "there is a GPU")
        if not has_openvino:
            return Choice(engine, "OpenVINO is not installed; Keras sees no GPU")
        return Choice(_openvino(precision, threads, cache), "Keras cannot use the GPU here")
    if has_openvino:
        return Choice(_openvino(precision, threads, cache), "no GPU, OpenVINO is installed")
    return Choice(_keras(precision, threads), "no GPU, OpenVINO is not installed")


def _openvino(precision: Precision, threads: int, cache: Path) -> Engine:
    from worker.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(precision, threads=threads, cache=cache)


def _keras(precision: Precision, threads: int) -> KerasEngine:
    from worker.engines.keras import KerasEngine

    return KerasEngine(precision, threads=threads)
