"""A network as OpenVINO's intermediate representation (IR)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from contract.errors import ArtifactError, EmotionStreamError, UsageError
from worker.engine import ArraySpec, ModelSource
from worker.engines.keras import require_specs
from worker.engines.telemetry import refuse_telemetry

if TYPE_CHECKING:
    import openvino

_log = structlog.get_logger()

# Exit codes of the process below when its last line says it all: about the network, the disk.
_SAID, _UNWRITTEN = 3, 4


def convert(source: ModelSource) -> openvino.Model:
    """Build `source` and return its float32 IR: one input, the outputs in order, N free.

    Takes seconds and imports TensorFlow, whose graph is what is converted: Keras' own way
    (``KERAS_BACKEND=openvino``) keeps every transposition and is half as fast. Raises
    `UsageError` when Keras runs on another backend or is not installed and `ArtifactError` for a
    model that OpenVINO cannot run.
    """
    if missing := [name for name in ("keras", "tensorflow") if find_spec(name) is None]:
        raise UsageError(
            f"{source.name}: not converted for OpenVINO yet, which needs {' and '.join(missing)} "
            "once: pip install 'emotion-stream[worker]'; or give it an int8 form "
            "(emotion-trainer quantize), or a --cache where it is converted"
        )
    refuse_telemetry()
    import openvino

    model = source.build()
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            f"--engine openvino: expected Keras on tensorflow, which converts the {source.name}, "
            f"got {keras.backend.backend()}"
        )
    require_specs(model, source)
    function = tf.function(
        lambda batch: tf.nest.flatten(model(batch, training=False)),
        input_signature=[tf.TensorSpec((None, *source.takes.shape), source.takes.dtype)],
        autograph=False,
    ).get_concrete_function()
    try:
        # A copy: the model would point into TensorFlow's memory, which the next garbage
        # collection frees.
        converted: openvino.Model = openvino.convert_model(function, share_weights=False)
    except Exception as error:  # openvino raises many kinds, all of them about this network
        raise ArtifactError(
            f"{source.name}: OpenVINO cannot convert it; --engine keras can run it: {error}"
        ) from error
    return converted


def convert_apart(source: ModelSource, path: Path) -> None:
    """Convert `source` in a process of its own and write it to `path`, an ``.xml``.

    TensorFlow would stay in this one for good: 700 MB. Raises `ArtifactError` as `convert` does,
    and for a `source.build` that the other process cannot import, and `OSError` when `path` cannot
    be written, for one because the disk is full. `source.build` must be a function of a module, or
    a partial of one with texts.
    """
    message = _encode(source)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "KERAS_BACKEND": "tensorflow",  # whatever this process runs on
        "CUDA_VISIBLE_DEVICES": "-1",  # not needed, and it may be full
    }
    with subprocess.Popen(
        # -P: a keras.py in the folder that the worker was started in is not meant.
        [sys.executable, "-P", "-m", __name__, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
    ) as child:
        assert child.stdin is not None and child.stderr is not None
        with suppress(BrokenPipeError):  # it says why on stderr
            child.stdin.write(message)
            child.stdin.flush()
        # Its stdin stays open: that it closes tells the child that this process has gone.
        said = child.stderr.read()
        exit_code = child.wait()
    if exit_code == 0:
        return
    lines = said.decode(errors="replace").strip().splitlines()
    _log.debug("conversion failed", network=source.name, exit_code=exit_code, said=lines)
    last = lines[-1] if lines else f"exit code {exit_code}"
    if exit_code == _UNWRITTEN:
        raise OSError(last)
    raise ArtifactError(last if exit_code == _SAID else f"{source.name}: {last}")


def _encode(source: ModelSource) -> bytes:
    """What a conversion needs of `source`, in one line. Names and no pickle, which runs code."""
    build: Any = source.build
    arguments = build.args if isinstance(build, partial) else ()
    function = build.func if isinstance(build, partial) else build
    if getattr(build, "keywords", None) or not all(isinstance(word, str) for word in arguments):
        raise TypeError(f"{source.name}: expected a build with texts only, got {build!r}")
    fields = {
        "name": source.name,
        "takes": _plain(source.takes),
        "gives": [_plain(spec) for spec in source.gives],
        "build": [function.__module__, function.__qualname__, *arguments],
    }
    return json.dumps(fields).encode() + b"\n"


def _decode(line: bytes) -> ModelSource:
    fields = json.loads(line)
    module, function, *arguments = fields["build"]
    return ModelSource(
        name=fields["name"],
        fingerprint="",
        takes=_spec(fields["takes"]),
        gives=tuple(map(_spec, fields["gives"])),
        build=partial(getattr(import_module(module), function), *arguments),
    )


def _plain(spec: ArraySpec) -> list[Any]:
    return [list(spec.shape), spec.dtype.name]


def _spec(plain: list[Any]) -> ArraySpec:
    shape, dtype = plain
    return ArraySpec(tuple(shape), np.dtype(dtype))


def _main() -> int:
    """The source that stdin tells of becomes the IR file that the command line names."""
    source = _decode(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    try:
        converted = convert(source)
    except EmotionStreamError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return _SAID
    import openvino

    # In full: the detector's weights are no float16 numbers.
    try:
        openvino.save_model(converted, sys.argv[1], compress_to_fp16=False)
    except RuntimeError as error:
        print(f"cannot write {sys.argv[1]}: {' '.join(str(error).split())}", file=sys.stderr)
        return _UNWRITTEN
    return 0


def _end_with_parent() -> None:
    # A worker that was killed needs no network any more, and its minute of both cores is not its
    # successor's. Not sys.stdin: its lock would be held at the end of the process.
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(_main())
