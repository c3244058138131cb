"""`emotion-trainer export --format`: what other runtimes make of the files, by their own means."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from contract.artifact import file_sha256
from tests.optional import needs
from trainer.cli import main
from trainer.foreign import export as foreign

# Keras, tf2onnx and TensorFlow warn of their own affairs.
pytestmark = pytest.mark.filterwarnings("default")

LABELS = ("glad", "sad", "중립")
TEMPERATURE = 2.5


def save(path: Path, end: str = "linear") -> Path:
    """A small network sure enough of what it says that a temperature shows."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 1))
    x = keras.layers.Rescaling(1 / 64)(image)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    x = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(x))
    x = keras.layers.Dense(3, activation=end)(keras.layers.Flatten()(x))
    keras.Model(image, x).save(path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("models") / "mine.keras")


def crops(count: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, 16, 16, 1), np.uint8)


def calibrated(path: Path, images: np.ndarray) -> np.ndarray:
    """What scores are, from the definition."""
    outputs = keras.models.load_model(path, compile=False).predict_on_batch(images)
    powers = np.exp(np.asarray(outputs, np.float64) / TEMPERATURE)
    return powers / powers.sum(axis=1, keepdims=True)


def exported(model: Path, out: Path, kind: str, *more: str) -> Path:
    arguments = ["export", str(model), "--labels", ",".join(LABELS), "--format", kind]
    arguments += ["--temperature", str(TEMPERATURE), "--made=data=noise", "--out", str(out)]
    assert main([*arguments, *more]) == 0
    return out / f"{model.stem}-{kind}"


def by_onnxruntime(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, given.type) == ("crops", ["N", 16, 16, 1], "tensor(uint8)")
    assert (made.name, made.shape) == ("scores", ["N", 3])
    return lambda images: session.run(["scores"], {"crops": images})[0]


def by_tensorflow(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    import tensorflow

    loaded = tensorflow.saved_model.load(str(folder))
    return lambda images: loaded.signatures["serving_default"](crops=tensorflow.constant(images))[
        "scores"
    ].numpy()


def by_openvino(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    import openvino

    network = openvino.Core().compile_model(folder / "model.xml", "CPU")
    return lambda images: network({"crops": images})["scores"]


def by_openvino_from_onnx(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    import openvino

    network = openvino.Core().compile_model(folder / "model.onnx", "CPU")
    return lambda images: network({"crops": images})["scores"]


@pytest.mark.parametrize(
    ("kind", "loaded"),
    [
        pytest.param("onnx", by_onnxruntime, marks=needs("tf2onnx", "onnx", "onnxruntime")),
        pytest.param("onnx", by_openvino_from_onnx, marks=needs("tf2onnx", "onnx")),
        ("saved_model", by_tensorflow),
        ("openvino", by_openvino),
    ],
)
def test_another_runtime_gives_calibrated_scores(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    loaded: Callable[[Path], Callable[[np.ndarray], np.ndarray]],
) -> None:
    folder = exported(model, tmp_path / "out", kind)
    said = capsys.readouterr().out
    assert str(folder) in said
    assert "scores differ from Keras' by at most" in said
    network = loaded(folder)
    for count in (1, 5):  # any number of crops at a time
        images = crops(count)
        found = network(images)
        assert found.dtype == np.float32
        # bfloat16 is OpenVINO's own choice where the CPU has it.
        np.testing.assert_allclose(found, calibrated(model, images), atol=0.02)

    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(manifest["files"]) == files - {"manifest.json"}
    for name, sha256 in manifest["files"].items():
        assert file_sha256(folder / name) == sha256
    assert manifest["format"] == kind
    assert tuple(manifest["labels"]) == LABELS
    assert manifest["temperature"] == TEMPERATURE
    assert manifest["input"]["shape"] == [None, 16, 16, 1]
    assert manifest["input"]["dtype"] == "uint8"
    assert manifest["made"] == {"data": "noise"}
    assert manifest["source_sha256"] == file_sha256(model)
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]


def test_a_network_of_probabilities_is_calibrated_too(tmp_path: Path) -> None:
    path = save(tmp_path / "sure.keras", end="softmax")
    folder = exported(path, tmp_path / "out", "saved_model", "--output", "probabilities")
    linear = save(tmp_path / "linear.keras")  # the same weights
    found = by_tensorflow(folder)(crops(4))
    np.testing.assert_allclose(found, calibrated(linear, crops(4)), atol=1e-5)


def test_what_flags_leave_out_is_in_the_manifest_beside_the_model(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exported(model, tmp_path, "keras", "--name", "korean")
    assert main(["export", str(tmp_path / "korean.keras"), "--format", "saved_model",
                 "--made=licence=none", "--out", str(tmp_path / "out")]) == 0  # fmt: skip
    manifest = json.loads((tmp_path / "out" / "korean-saved_model" / "manifest.json").read_text())
    assert tuple(manifest["labels"]) == LABELS
    assert manifest["temperature"] == TEMPERATURE
    assert manifest["made"] == {"data": "noise", "licence": "none"}
    capsys.readouterr()


def test_a_folder_is_replaced_only_when_told(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = exported(model, tmp_path, "saved_model")
    (folder / "mine.txt").touch()
    arguments = ["export", str(model), "--labels", "a,b,c", "--format", "saved_model"]
    assert main([*arguments, "--out", str(tmp_path)]) == 2
    assert "mine-saved_model: exists; --force replaces it" in capsys.readouterr().err
    assert (folder / "mine.txt").exists()
    assert main([*arguments, "--out", str(tmp_path), "--force"]) == 0
    assert not (folder / "mine.txt").exists()
    assert json.loads((folder / "manifest.json").read_text())["labels"] == ["a", "b", "c"]
    assert [entry.name for entry in tmp_path.iterdir()] == [folder.name]


@pytest.mark.parametrize("kind", ["saved_model", "openvino"])
def test_scores_that_are_not_keras_are_not_written(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    """A converter that loses the temperature."""
    build = foreign.deployed
    monkeypatch.setattr(foreign, "deployed", lambda model, output, _: build(model, output, 1.0))
    out = tmp_path / "out"
    arguments = ["export", str(model), "--labels", ",".join(LABELS), "--temperature", "2.5"]
    assert main([*arguments, "--format", kind, "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert f"in the format {kind} its scores differ by up to" in said
    assert "expected at most 0.0001" in said
    assert list(out.iterdir()) == []


def test_onnx_says_what_it_needs(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainer.foreign.onnx.find_spec", lambda name: None)  # not installed
    arguments = ["export", str(model), "--labels", ",".join(LABELS), "--format", "onnx"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert "--format onnx needs tf2onnx" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
