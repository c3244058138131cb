"""OpenVINO beside Keras on a small model; starts with and without TensorFlow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pytest

from contract.errors import ArtifactError, UsageError
from contract.process.gpus import usable_gpus
from tests.conftest import REPOSITORY
from tests.small_model import images, source, two_outputs
from worker.engines.cache import IrCache
from worker.engines.choose import choose_engine
from worker.engines.convert import convert_apart
from worker.engines.openvino import OpenVinoEngine

if TYPE_CHECKING:
    import keras

FULL = Path("/dev/full")


def not_called() -> None:
    raise AssertionError("a cached network was built again")


@pytest.mark.parametrize("count", [0, 1, 3, 8, 40])
def test_the_outputs_are_keras_own(tmp_path_factory: pytest.TempPathFactory, count: int) -> None:
    network = OpenVinoEngine("float32", threads=2, cache=shared_cache(tmp_path_factory)).compile(
        source()
    )
    batch = images(count)

    means, maps = network.outputs(batch)

    assert network.precision == "float32"
    assert (means.shape, maps.shape) == ((count, 4), (count, 6, 6, 4))
    if count:
        expected = two_outputs()(batch, training=False)
        for found, wanted in zip((means, maps), expected, strict=True):
            np.testing.assert_allclose(found, np.asarray(wanted), rtol=1e-4, atol=1e-3)


def test_threads_get_their_own_results_and_may_keep_them(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    network = OpenVinoEngine("float32", threads=2, cache=shared_cache(tmp_path_factory)).compile(
        source(), buckets=[1, 4]
    )
    batches = [np.roll(images(7), shift, axis=0) for shift in range(50)]
    expected, _ = network.outputs(images(7))

    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(network.outputs, batches))

    for shift, (means, _) in enumerate(results):
        np.testing.assert_allclose(means, np.roll(expected, shift, axis=0), rtol=1e-5, atol=1e-4)


def test_pictures_that_do_not_lie_in_one_piece_are_read_right(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    network = OpenVinoEngine("float32", threads=1, cache=shared_cache(tmp_path_factory)).compile(
        source()
    )
    mirrored = images(4)[:, :, ::-1]

    means, _ = network.outputs(mirrored)

    np.testing.assert_allclose(means, network.outputs(mirrored.copy())[0], rtol=1e-5, atol=1e-4)


def test_a_changed_network_is_converted_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    engine = OpenVinoEngine("float32", threads=1, cache=shared_cache(tmp_path_factory))
    engine.compile(source())

    engine.compile(source(not_called))
    with pytest.raises(ArtifactError, match="built again"):
        engine.compile(source(not_called, fingerprint="1" * 64))


def test_a_damaged_cache_is_rebuilt(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = shared_cache(tmp_path_factory)
    expected, _ = (
        OpenVinoEngine("float32", threads=1, cache=whole).compile(source()).outputs(images(3))
    )
    shutil.copytree(whole, tmp_path / "cache")
    engine = OpenVinoEngine("float32", threads=1, cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").rglob("model.bin")
    file.write_bytes(file.read_bytes()[:-100])

    means, _ = engine.compile(source()).outputs(images(3))

    np.testing.assert_array_equal(means, expected)
    engine.compile(source(not_called))


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    engine = OpenVinoEngine("float32", threads=1, cache=tmp_path / "file")
    means, _ = engine.compile(source()).outputs(images(3))

    assert means.shape == (3, 4)


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
def test_a_full_disk_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullCache(IrCache):
        def add(self, key: str, write: Callable[[Path], None]) -> Path | None:
            def write_to_full(path: Path) -> None:
                path.symlink_to(FULL)
                path.with_suffix(".bin").symlink_to(FULL)
                write(path)

            return super().add(key, write_to_full)

    monkeypatch.setattr("worker.engines.openvino.IrCache", FullCache)
    engine = OpenVinoEngine("float32", threads=1, cache=tmp_path)
    means, _ = engine.compile(source()).outputs(images(3))

    assert means.shape == (3, 4)
    assert not list(tmp_path.rglob("model.xml"))


def test_a_backend_that_is_not_installed_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from worker.engines.keras import KerasEngine; KerasEngine()"],
        cwd=REPOSITORY,
        env={**os.environ, "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
    )
    assert "UsageError: " in done.stderr
    assert "KERAS_BACKEND=torch: torch is not installed" in done.stderr or (
        "expected Keras on tensorflow or jax, got torch" in done.stderr
    )


def test_int8_without_an_int8_form_names_the_command(tmp_path: Path) -> None:
    engine = OpenVinoEngine("auto", threads=1, cache=tmp_path)
    if "INT8" not in engine.capabilities:
        pytest.skip("needs a CPU that calculates in int8")
    engine = OpenVinoEngine("int8", threads=1, cache=tmp_path)

    with pytest.raises(UsageError, match="int8 form of this small; `emotion-trainer quantize`"):
        engine.compile(source())


def test_a_module_in_the_current_folder_is_not_taken_for_keras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keras.py").write_text("raise RuntimeError('not this one')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(REPOSITORY), *filter(None, sys.path)])

    convert_apart(source(), tmp_path / "model.xml")

    assert (tmp_path / "model.bin").is_file()


# A worker that converts, until it is killed; says who converts.
CONVERT = """
import sys, threading
from pathlib import Path
from tests.small_model import source
from worker.engines import convert

class Popen(convert.subprocess.Popen):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        print(self.pid, flush=True)

convert.subprocess.Popen = Popen
convert.convert_apart(source(), Path(sys.argv[1]))
"""


def test_a_conversion_ends_with_its_worker(tmp_path: Path, wait_until: Callable[..., None]) -> None:
    command = [sys.executable, "-c", CONVERT, str(tmp_path / "model.xml")]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        conversion = psutil.Process(int(worker.stdout.readline()))
        worker.kill()

    wait_until(lambda: not conversion.is_running())
    assert not (tmp_path / "model.xml").exists()


def with_unknown_layer() -> keras.Model:
    import keras
    import tensorflow as tf

    class Unknown(keras.layers.Layer):  # type: ignore[misc, unused-ignore]
        def call(self, x: object) -> object:
            return tf.numpy_function(lambda y: y, [x], tf.float32)

        def compute_output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
            return shape

    model = two_outputs()
    return keras.Model(model.inputs, [Unknown()(output) for output in model.outputs])


def test_what_openvino_cannot_run_names_the_other_engine(tmp_path: Path) -> None:
    engine = OpenVinoEngine("float32", threads=1, cache=tmp_path)
    with pytest.raises(ArtifactError, match="small: OpenVINO cannot convert it; --engine keras"):
        engine.compile(source(with_unknown_layer))


def test_a_missing_openvino_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)

    with pytest.raises(UsageError, match=r"--engine openvino: .*emotion-stream\[openvino\]"):
        choose_engine("openvino", threads=1, cache=tmp_path)


def test_auto_says_why(tmp_path: Path) -> None:
    if usable_gpus():
        pytest.skip("expected a machine without a GPU")
    choice = choose_engine(threads=3, cache=tmp_path)
    int8 = choose_engine(precision="int8", threads=1, cache=tmp_path)

    assert int8.reason == "only OpenVINO has int8"
    assert (choice.engine.name, choice.engine.lanes) == ("openvino", 4)
    assert choice.reason == "no GPU, OpenVINO is installed"


# What a worker does before it is ready, with the networks that are shipped.
START = """
import sys
from concurrent.futures import ThreadPoolExecutor
from worker.assemble import build_analyser
from worker.settings import WorkerSettings

settings = WorkerSettings(engine="openvino", precision="float32", batch_size=2)
with ThreadPoolExecutor(1) as decoders:
    analyser, info = build_analyser(settings, decoders, lambda stage, seconds: None)
    analyser.check()
print(info["engine"], info["precision"], "tensorflow" in sys.modules, "keras" in sys.modules)
"""


def test_a_worker_on_openvino_never_loads_tensorflow_and_nobody_is_told(
    tmp_path: Path,
) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def start() -> str:
        done = subprocess.run(
            [sys.executable, "-c", START],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    for _ in range(2):  # the first converts, in a process of its own
        assert start() == "openvino float32 False False"
    assert len(list((tmp_path / "cache").rglob("model.xml"))) == 2
    # OpenVINO's telemetry would have made itself a folder there.
    assert not (tmp_path / "intel").exists()


def shared_cache(factory: pytest.TempPathFactory) -> Path:
    return factory.getbasetemp() / "openvino-cache"
