"""What the networks would run on: the engine, its cache, GPUs."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from contract.errors import ArtifactError, UsageError
from contract.process.gpus import VISIBLE, usable_gpus
from worker.check.row import Row, ok, warning
from worker.classifier import classifier_source
from worker.engines.choose import Choice
from worker.engines.openvino import OpenVinoEngine
from worker.faces.detector import detector_source
from worker.settings import WorkerSettings

_QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader")
_QUERY_TIMEOUT_S = 10.0


def look_at_engine(choice: Choice, settings: WorkerSettings) -> Row:
    """Which it is and why, and whether a start has to convert anything. Raises `ArtifactError`."""
    engine = choice.engine
    said = f"{engine.name}: {choice.reason}; {engine.lanes} lanes, up to {engine.batch_size} frames"
    if not isinstance(engine, OpenVinoEngine):
        return ok("engine", said)
    sources = [detector_source()]
    with suppress(ArtifactError):  # the model has a row of its own
        sources.append(classifier_source(settings.model)[1])
    missing = [source.name for source in sources if engine.has_to_convert(source)]
    if not missing:
        return ok("engine", f"{said}; nothing has to be converted")
    said += f"; {' and '.join(missing)} not yet in {settings.cache}"
    if not _can_be_made(settings.cache):
        advice = "let this user write there, or every start takes seconds longer: --cache"
        return warning("engine", said, advice)
    return ok("engine", f"{said}: the first start converts")


def look_at_gpu(choice: Choice | None, settings: WorkerSettings) -> Row:
    """Which this process sees, and whether they are used. Raises `UsageError` where one is demanded
    and none is there."""
    gpus = usable_gpus()
    if not gpus:
        hidden = f", {VISIBLE} is {os.environ[VISIBLE]!r}" if VISIBLE in os.environ else ""
        said = f"no NVIDIA GPU can be seen{hidden}"
        if settings.engine != "keras":
            return ok("gpu", f"{said}: none is needed")
        advice = (
            "reserve one for this container or pod, or use --engine auto: Keras is slow on CPUs"
        )
        return warning("gpu", said, advice)
    said = "; ".join(_described(gpus))
    if choice is None or getattr(choice.engine, "on_gpu", False):
        return ok("gpu", said)
    return warning(
        "gpu",
        f"{said}, and not used: {choice.reason}",
        "install emotion-stream[worker,gpu], or use the image worker-gpu and --engine keras",
    )


def _described(gpus: list[str]) -> list[str]:
    """Name and memory of each, or its number where the driver's tool is not there to ask."""
    if shutil.which(_QUERY[0]) is None:
        return [f"GPU {gpu}" for gpu in gpus]
    command = [*_QUERY, f"--id={','.join(gpus)}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_QUERY_TIMEOUT_S, check=True
        )
    except (subprocess.SubprocessError, OSError) as error:
        raise UsageError(f"{_QUERY[0]} does not answer: {error}") from error
    lines = [line.split(", ") for line in done.stdout.strip().splitlines()]
    return [f"{name}, {free} free of {total}" for name, total, free in lines]


def _can_be_made(folder: Path) -> bool:
    """Whether this user may write to a folder, which need not be there yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)
