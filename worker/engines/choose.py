"""Which engine runs the networks here, and why."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from worker.engine import Engine
from worker.engines.options import EngineName, Precision

if TYPE_CHECKING:
    from worker.engines.keras import KerasEngine

_NVIDIA_DEVICES = Path("/dev")


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
    OpenVINO if it is installed. TensorFlow is imported only where an NVIDIA device is there.

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
    # What only OpenVINO has is asked of OpenVINO.
    if has_nvidia_device() and precision != "int8":
        engine = _keras(precision, threads)
        if engine.on_gpu:
            return Choice(engine, "there is a GPU")
        if not has_openvino:
            return Choice(engine, "OpenVINO is not installed; Keras sees no GPU")
        return Choice(_openvino(precision, threads, cache), "Keras cannot use the GPU here")
    if has_openvino or precision == "int8":
        return Choice(_openvino(precision, threads, cache), "no GPU, OpenVINO is installed")
    return Choice(_keras(precision, threads), "no GPU, OpenVINO is not installed")


def has_nvidia_device(devices: Path = _NVIDIA_DEVICES) -> bool:
    """Whether the driver shows this process a card: ``/dev/nvidia0`` and so on.

    Whether TensorFlow or JAX can use it only they know; asking them takes seconds.
    """
    return any(devices.glob("nvidia[0-9]*"))


def _openvino(precision: Precision, threads: int, cache: Path) -> Engine:
    from worker.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(precision, threads=threads, cache=cache)


def _keras(precision: Precision, threads: int) -> KerasEngine:
    from worker.engines.keras import KerasEngine

    return KerasEngine(precision, threads=threads)
