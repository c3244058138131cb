"""`emotion-trainer quantize` on a tiny model and a few photos and frames."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from contract.artifact import find_artifact, find_int8
from tests.conftest import REPOSITORY
from trainer.cli import main
from trainer.data.ferplus import CLASSES
from trainer.quantize import classifier

pytest.importorskip("nncf")

pytestmark = [
    # NNCF and TensorFlow warn of their own affairs.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 1))
    x = keras.layers.Rescaling(1 / 255)(image)
    for filters in (8, 16):
        x = keras.layers.Conv2D(filters, 3, strides=2, activation="relu")(x)
    path = tmp_path / "mine.keras"
    keras.Model(image, keras.layers.Dense(8)(keras.layers.Flatten()(x))).save(path)
    arguments = ["export", str(path), "--labels", ",".join(CLASSES), "--out", str(tmp_path)]
    assert main(arguments) == 0
    return path


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """FER+ of eight photos a split."""
    random = np.random.default_rng(0)
    lines = ["Usage,Image name," + ",".join((*CLASSES, "unknown", "NF"))]
    for usage, folder in (("Training", "FER2013Train"), ("PrivateTest", "FER2013Test")):
        (tmp_path / "ferplus" / "data" / folder).mkdir(parents=True)
        for number in range(8):
            name = f"fer{number}.png"
            photo = random.integers(0, 256, (48, 48), np.uint8)
            cv2.imwrite(str(tmp_path / "ferplus" / "data" / folder / name), photo)
            votes = [10 * (place == number) for place in range(10)]
            lines.append(",".join(map(str, (usage, name, *votes))))
    (tmp_path / "ferplus" / "data" / "fer2013new.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "ferplus"


def test_the_same_inputs_give_the_same_files(
    model: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["quantize", "--faces", str(faces), "--model", str(model)]
    assert main(command) == 0
    assert "accuracy, n=8" in capsys.readouterr().out
    _, manifest = find_artifact(model)
    assert manifest.int8 is not None
    xml = find_int8(model.parent, manifest.int8, manifest.sha256)
    assert "i8" in xml.read_text("utf-8")
    assert manifest.int8.measured["data"] == "FER+ test, n=8"

    assert main(command) == 0
    again = find_artifact(model)[1].int8
    assert again is not None
    # The .xml names layers by a counter that goes on within a process; a command is one.
    assert replace(again, xml_sha256="") == replace(manifest.int8, xml_sha256="")


def test_what_costs_too_much_is_not_written(
    model: Path,
    faces: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(classifier, "MAX_LOSS", -1.0)
    assert main(["quantize", "--faces", str(faces), "--model", str(model)]) == 1
    assert "nothing written: int8 of the classifier loses" in capsys.readouterr().err
    assert "int8" not in json.loads(model.with_suffix(".json").read_text())
    assert not list(model.parent.glob("*.int8.*"))


def test_faults_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize"]) == 2
    assert "expected --faces FERPLUS for the classifier, --videos" in capsys.readouterr().err
    assert main(["quantize", "--videos", str(tmp_path / "gone")]) == 2
    assert "gone: no such file or folder" in capsys.readouterr().err
    assert main(["quantize", "--videos", str(REPOSITORY / "README.md")]) == 2
    assert "README.md: OpenCV reads no frame of it" in capsys.readouterr().err
