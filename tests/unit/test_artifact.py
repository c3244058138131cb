"""A model and its manifest belong together, or the worker does not start."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from contract.artifact import ModelManifest, file_sha256, find_artifact
from contract.errors import ArtifactError
from worker.classifier import classifier_source
from worker.faces.crop import CROP_RULE

SHIPPED = Path(__file__).parents[2] / "worker" / "models" / "ferplus_resnet50.keras"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "mine.keras"
    path.write_bytes(b"weights")
    ModelManifest(
        name="mine", file="mine.keras", sha256=file_sha256(path), labels=("glad", "슬픔")
    ).write(tmp_path / "mine.json")
    return path


def rewrite(path: Path, **changes: Any) -> None:
    manifest = json.loads(path.read_text("utf-8")) | changes
    path.write_text(json.dumps({k: v for k, v in manifest.items() if v is not ...}), "utf-8")


def test_what_was_written_is_read(model: Path) -> None:
    for path in (model, model.with_suffix(".json")):
        found, manifest = find_artifact(path)
        assert found == model
        assert manifest.labels == ("glad", "슬픔")
        assert manifest.id == f"mine@{manifest.sha256[:12]}"


def test_the_shipped_artifact_is_what_its_manifest_says() -> None:
    _, manifest = find_artifact(SHIPPED)
    assert manifest.temperature == 0.6
    assert manifest.labels[:2] == ("neutral", "happiness")
    assert manifest.crop == CROP_RULE


def test_what_an_older_manifest_lacks_is_absent(model: Path) -> None:
    _, manifest = find_artifact(model)
    assert manifest.crop is None
    assert {*manifest.recipe, *manifest.data, *manifest.versions, *manifest.measured} == set()
    written = json.loads(model.with_suffix(".json").read_text("utf-8"))
    assert sorted(written) == [
        "file", "format", "input_shape", "labels", "name", "output", "sha256", "temperature"
    ]  # fmt: skip


def test_a_newer_manifest_may_say_more(model: Path) -> None:
    rewrite(model.with_suffix(".json"), mood="good", crop=asdict(CROP_RULE), data={"n": 1})
    _, manifest = find_artifact(model)
    assert (manifest.crop, manifest.data) == (CROP_RULE, {"n": 1})


def test_the_worker_takes_only_models_of_its_own_crops(model: Path) -> None:
    path = model.with_suffix(".json")
    for crop in (..., asdict(CROP_RULE)):
        rewrite(path, crop=crop)
        assert classifier_source(model)[0].name == "mine"
    rewrite(path, crop=asdict(CROP_RULE) | {"side_of_height": 1.2})
    with pytest.raises(
        ArtifactError, match=r"expected \[square, 0\.95 of .* got \[square, 1\.2 of"
    ):
        classifier_source(model)


def spoil_model(model: Path) -> None:
    model.write_bytes(b"other weights")


def remove_manifest(model: Path) -> None:
    model.with_suffix(".json").unlink()


def change(**changes: Any) -> Callable[[Path], None]:
    return lambda model: rewrite(model.with_suffix(".json"), **changes)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (spoil_model, r"mine\.keras: expected sha256 .* as mine\.json says, got"),
        (lambda model: model.unlink(), r"mine\.keras: no such model file"),
        (remove_manifest, r"mine\.json: the model's manifest is missing"),
        (change(labels=...), r"mine\.json: the manifest has no 'labels'"),
        (change(labels=["one"]), "expected 2-32 different labels, got 1"),
        (change(labels=["a", "a"]), "expected 2-32 different labels, got 2, 1 of them different"),
        (change(labels=[f"l{i}" for i in range(33)]), "expected 2-32 different labels, got 33"),
        (change(labels=["a", "b" * 33]), "labels: expected at most 32 characters each, got 'bbb"),
        (change(format=9), "expected manifest format 1, got 9"),
        (change(temperature=0), "expected a number from 0.001"),
        (change(output="votes"), "expected one of logits, probabilities"),
        (change(input_shape=[96, 96]), r"input_shape: expected \[height, width, channels\]"),
        (change(crop={"shape": "square"}), "crop: expected shape, side_of_height, outside, resize"),
        (change(crop=asdict(CROP_RULE) | {"turned": 1}), "crop: expected .*, got .*, turned"),
        (
            change(crop=asdict(CROP_RULE) | {"side_of_height": "1"}),
            "crop: side_of_height: expected",
        ),
        (change(crop=asdict(CROP_RULE) | {"shape": 4}), "crop: expected text in shape"),
        (change(data=[1]), "data: expected a map, got list"),
        (change(file="other.keras"), r"mine\.json: describes other\.keras, expected mine\.keras"),
        (change(file="../mine.keras"), "expected a plain file name"),
        (lambda model: model.with_suffix(".json").write_text("{"), "cannot read the manifest"),
        (lambda model: model.with_suffix(".json").write_text("[]"), "expected manifest format 1"),
    ],
)
def test_a_broken_artifact_is_refused_by_name(
    model: Path, spoil: Callable[[Path], None], text: str
) -> None:
    spoil(model)
    with pytest.raises(ArtifactError, match=text):
        find_artifact(model)
