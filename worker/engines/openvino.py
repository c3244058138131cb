"""OpenVINO on the cores of a CPU: one stream a core, one thread a stream."""

from __future__ import annotations

import queue
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog

from contract.errors import ArtifactError, UsageError
from worker.engine import BUCKETS, Array, BucketedNetwork, CompiledBatch, ModelSource, Network
from worker.engines.cache import IrCache
from worker.engines.convert import convert_apart
from worker.engines.options import Precision
from worker.engines.telemetry import refuse_telemetry

if TYPE_CHECKING:
    import openvino

_log = structlog.get_logger()

# Raised when `convert` makes something else of the same network.
_CONVERSION = 2
_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_CAPABILITIES = {"bfloat16": "BF16", "int8": "INT8"}


class OpenVinoEngine:
    """Runs networks on `threads` cores, a lane for each and one more, and keeps what it
    converted in `cache`.

    precision  "auto" is int8 for a network that has an int8 form, where the CPU is fast at it; else
               bfloat16 where the CPU calculates in it, else float32

    Raises `UsageError` when OpenVINO is not installed or the CPU lacks the precision asked for.
    """

    name = "openvino"
    batch_size = 8  # as fast a frame as 16, and half as late

    def __init__(self, precision: Precision, *, threads: int, cache: Path) -> None:
        refuse_telemetry()
        try:
            import openvino
        except ImportError as error:
            raise UsageError(
                "--engine openvino: OpenVINO is not installed; install emotion-stream[openvino]"
            ) from error
        self._core: Any = openvino.Core()
        self._precision = precision
        self._threads = threads
        self._key = f"{_CONVERSION}-{openvino.__version__.split('-')[0]}"
        self._cache = IrCache(cache / "openvino")
        self.capabilities = frozenset(self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
        if precision in _CAPABILITIES and _CAPABILITIES[precision] not in self.capabilities:
            raise UsageError(
                f"--precision {precision}: this CPU does not calculate in it; "
                "expected --precision auto or float32"
            )

    @property
    def lanes(self) -> int:
        # One more than cores: a lane that takes up its next batch, or waits for another in Python,
        # leaves no core idle. 7 % more frames a second on two cores; a second one adds nothing.
        return self._threads + 1

    def compile(self, source: ModelSource, *, buckets: Sequence[int] = BUCKETS) -> Network:
        precision = self._precision_of(source)
        if precision == "int8":
            model = self._core.read_model(source.int8)
        else:
            model = self._float_model(source)
        takes = source.takes
        sizes = [size for size in buckets if size <= source.cpu_batch] or [min(buckets)]

        def compile_batch(size: int) -> CompiledBatch:
            # A network of its own for each size: 4 % faster than one of any size. A copy shares
            # the weights that are mapped into memory.
            sized = model.clone()
            sized.reshape([size, *takes.shape])
            compiled = self._core.compile_model(sized, "CPU", self._settings(precision))
            return _Requests(compiled, self._threads).infer

        return BucketedNetwork(
            compile_batch,
            takes=takes,
            gives=source.gives,
            buckets=sizes,
            precision=precision,
            max_padding=0.0,
        )

    def has_to_convert(self, source: ModelSource) -> bool:
        """Whether `compile` would convert it first, which takes seconds and Keras."""
        return (
            self._precision_of(source) != "int8" and self._cache.find(self._key_of(source)) is None
        )

    def _precision_of(self, source: ModelSource) -> str:
        if self._precision == "int8" and source.int8 is None:
            raise UsageError(
                f"--precision int8: there is no int8 form of this {source.name}; "
                "`emotion-trainer quantize` makes one"
            )
        if self._precision != "auto":
            return self._precision
        if source.int8 is not None and has_fast_int8():
            return "int8"
        return self._float_precision()

    def _float_precision(self) -> str:
        return "bfloat16" if _CAPABILITIES["bfloat16"] in self.capabilities else "float32"

    def _settings(self, precision: str) -> dict[str, Any]:
        # What an int8 network leaves in floating point is calculated in the fastest there is.
        floats = self._float_precision() if precision == "int8" else precision
        return {
            "INFERENCE_PRECISION_HINT": _HINTS[floats],
            "NUM_STREAMS": self._threads,
            "INFERENCE_NUM_THREADS": self._threads,
            # Several workers would all pin their threads to the same first cores.
            "ENABLE_CPU_PINNING": False,
        }

    def _key_of(self, source: ModelSource) -> str:
        return f"{source.name}-{source.fingerprint[:16]}-{self._key}"

    def _float_model(self, source: ModelSource) -> openvino.Model:
        """The network's float32 IR, from the cache; converted first if no start did that yet."""
        key = self._key_of(source)
        if (cached := self._cache.find(key)) is not None:
            return self._core.read_model(cached)
        _log.info("converting for OpenVINO, once on this machine", network=source.name)
        added = self._cache.add(key, partial(convert_apart, source))
        if added is not None:
            return self._core.read_model(added)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.xml"
            try:
                convert_apart(source, path)
            except OSError as error:
                raise ArtifactError(f"{source.name}: no place for its converted form") from error
            # Whole in memory: the folder goes before the weights are used.
            return self._core.read_model(path.read_bytes(), path.with_suffix(".bin").read_bytes())


def has_fast_int8(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU multiplies int8 faster than floats, and adds up without overflow.

    OpenVINO says that it can calculate in int8 on any x86, but without VNNI's instructions that is
    slower, and sums of two products overflow. Only Linux tells: elsewhere it has to be asked for.
    """
    try:
        flags = cpuinfo.read_text("utf-8", errors="replace").split()
    except OSError:
        return False
    return not _VNNI.isdisjoint(flags)


class _Requests:
    """As many inference requests as there are streams; a call takes one that is free."""

    def __init__(self, compiled: Any, count: int) -> None:
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(count):
            self._free.put(compiled.create_infer_request())

    def infer(self, batch: Array) -> Sequence[Array]:
        request = self._free.get()
        try:
            # Shared is the input; outputs are copied, the request's own are overwritten next time.
            results = request.infer([np.ascontiguousarray(batch)], share_inputs=True)
            return [results[index] for index in range(len(results))]
        finally:
            self._free.put(request)
