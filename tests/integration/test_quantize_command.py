"""`emotion-trainer quantize` on a tiny model and a few photos and frames."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from contract.artifact import Int8, ModelManifest, find_artifact, find_int8
from contract.errors import UsageError
from tests.conftest import REPOSITORY
from trainer.cli import main
from trainer.data.ferplus import CLASSES, read_split
from trainer.pack import Split
from trainer.pack_writer import PackWriter
from trainer.quantize import classifier
from trainer.quantize.faces import calibration_faces, unseen_faces

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


def packed(faces: Path, path: Path) -> Path:
    with PackWriter(path, CLASSES, 48) as writer:
        parts: tuple[Split, ...] = ("train", "test")
        for name in parts:
            split = read_split(faces, name)
            for image, votes, image_id in zip(split.images, split.votes, split.ids, strict=True):
                writer.add(image, votes[:8], name, None, image_id)
        writer.finish()
    return path


def test_the_same_faces_give_the_same_files_and_so_does_a_pack_of_them(
    model: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = tmp_path / "mine.pack"
    with PackWriter(pack, CLASSES, 48) as writer:
        parts: tuple[Split, ...] = ("train", "test")
        for name in parts:
            split = read_split(faces, name)
            for image, votes, image_id in zip(split.images, split.votes, split.ids, strict=True):
                writer.add(image, votes[:8], name, None, image_id)
        writer.finish()

    def quantized(data: Path) -> Int8:
        assert main(["quantize", "--faces", str(data), "--model", str(model)]) == 0
        int8 = find_artifact(model)[1].int8
        assert int8 is not None
        return int8

    first = quantized(faces)
    assert "accuracy, n=8" in capsys.readouterr().out
    xml = find_int8(model.parent, first, find_artifact(model)[1].sha256)
    assert "i8" in xml.read_text("utf-8")
    assert first.measured["data"] == "FER+ test, n=8"

    # The .xml names layers by a counter that goes on within a process; a command is one.
    assert replace(quantized(faces), xml_sha256="") == replace(first, xml_sha256="")

    packed = quantized(pack)
    assert packed.made["calibration_sha256"] == first.made["calibration_sha256"]
    assert packed.bin_sha256 == first.bin_sha256
    for share in ("float32_accuracy", "accuracy", "same_label"):
        assert packed.measured[share] == first.measured[share]
    assert packed.measured["data"].startswith("mine test, pack ")
    assert packed.measured["data"].endswith(", n=8")
    assert packed.made["calibration"].startswith("mine train, pack ")
    capsys.readouterr()


def test_truth_of_ferplus_is_in_the_order_of_the_models_labels(faces: Path) -> None:
    for labels in (CLASSES, tuple(reversed(CLASSES))):
        manifest = ModelManifest("m", "m.keras", "0" * 64, labels)
        for found in (unseen_faces(faces, manifest), calibration_faces(faces, manifest, 8)):
            assert found.crops[0].shape == (96, 96, 1)
            assert sorted(found.truth.tolist()) == list(range(8))
        unseen = unseen_faces(faces, manifest, 3)
        assert [labels[place] for place in unseen.truth] == list(CLASSES[:3])


def test_truth_is_in_the_order_of_the_models_labels(tmp_path: Path) -> None:
    """Of a pack that has its labels in another order, and one that the model does not know."""
    with PackWriter(tmp_path / "my.pack", ("rage", "glad", "sad"), 16) as writer:
        for number in range(9):
            crop = np.full((16, 16), 20 * number, np.uint8)
            votes = [5.0 * (number % 3 == column) for column in range(3)]
            writer.add(crop, votes, "train" if number < 6 else "test", None, str(number))
        writer.finish()
    manifest = ModelManifest("m", "m.keras", "0" * 64, ("sad", "glad"), input_shape=(16, 16, 1))
    unseen = unseen_faces(tmp_path / "my.pack", manifest)
    assert [int(crop[0, 0, 0]) // 20 for crop in unseen.crops] == [7, 8]
    assert unseen.truth.tolist() == [1, 0]
    drawn = calibration_faces(tmp_path / "my.pack", manifest, 3)
    numbers = [int(crop[0, 0, 0]) // 20 for crop in drawn.crops]
    assert len(numbers) == 3
    assert set(numbers) < {1, 2, 4, 5}
    assert drawn.truth.tolist() == [[-1, 1, 0][number % 3] for number in numbers]
    other = replace(manifest, labels=("awe", "zeal"))
    with pytest.raises(UsageError, match="none of the model's awe, zeal"):
        unseen_faces(tmp_path / "my.pack", other)
    with pytest.raises(UsageError, match="expected a pack of faces with the model's labels awe"):
        unseen_faces(tmp_path, other)


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
    assert "expected --faces PACK for the classifier, --videos" in capsys.readouterr().err
    assert main(["quantize", "--videos", str(tmp_path / "gone")]) == 2
    assert "gone: no such file or folder" in capsys.readouterr().err
    assert main(["quantize", "--videos", str(REPOSITORY / "README.md")]) == 2
    assert "README.md: OpenCV reads no frame of it" in capsys.readouterr().err
