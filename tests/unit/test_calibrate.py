"""Temperatures that are known, and crops seen through a model's labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.artifact import ModelManifest
from contract.errors import UsageError
from trainer.calibrate import cross_entropy, fit_temperature, one_hot
from trainer.card import model_card
from trainer.evaluate import calibration_error, evaluate, softmax
from trainer.labelled import labelled
from trainer.measure import Measurement, reduced
from trainer.pack import Pack
from trainer.pack_writer import PackWriter
from trainer.report import as_json


def sampled(temperature: float, images: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, 5), and truths drawn from their softmax at `temperature`."""
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 3, (images, 5))
    noise = generator.gumbel(size=logits.shape)  # the Gumbel-max trick
    return logits, (logits / temperature + noise).argmax(axis=1)


@pytest.mark.parametrize("temperature", [0.3, 0.6, 1.0, 2.5])
def test_the_temperature_that_made_the_data_is_found(temperature: float) -> None:
    logits, truth = sampled(temperature)
    found = fit_temperature(logits, one_hot(truth, 5))
    assert found == pytest.approx(temperature, rel=0.03)
    assert calibration_error(softmax(logits, found), truth) < 0.02


@settings(max_examples=30)
@given(st.floats(0.1, 10), st.integers(0, 1000))
def test_no_other_temperature_is_better(other: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(40, 3))
    targets = generator.dirichlet([0.5] * 3, 40)
    best = cross_entropy(softmax(logits, fit_temperature(logits, targets)), targets)
    assert best <= cross_entropy(softmax(logits, other), targets) + 1e-9


@pytest.mark.parametrize(
    ("logits", "targets", "said"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), "expected logits and targets"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "N >= 1"),
        (np.full((1, 2), np.inf), np.ones((1, 2)) / 2, "finite"),
    ],
)
def test_other_arrays_are_refused(logits: np.ndarray, targets: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        fit_temperature(logits, targets)


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    image = np.zeros((16, 16), np.uint8)
    with PackWriter(tmp_path / "a.pack", ("joy", "rage", "fear"), 16) as writer:
        writer.add(image, [4, 0, 0], "test", None, "joy")
        writer.add(image, [1, 3, 0], "test", None, "rage")
        writer.add(image, [0, 0, 5], "test", None, "fear")
        writer.add(image, [2, 2, 0], "test", None, "torn")
        writer.add(image, [9, 0, 0], "train", None, "train")
        writer.finish()
    return Pack.open(tmp_path / "a.pack")


def test_classes_are_matched_by_name(pack: Pack) -> None:
    crops = labelled(pack, "test", ("calm", "rage", "joy"))
    assert [pack.ids[row] for row in crops.rows] == ["joy", "rage"]
    assert crops.truth.tolist() == [2, 1]
    np.testing.assert_allclose(crops.targets, [[0, 0, 1], [0, 0.75, 0.25]])
    assert crops.counts == {"used": 2, "without majority": 1, "unknown class": 1}
    assert len(labelled(pack, "test", ("joy", "rage"), limit=1)) == 1


def test_nothing_to_measure_is_said(pack: Pack) -> None:
    with pytest.raises(UsageError, match="none of the model's calm"):
        labelled(pack, "test", ("calm",))
    with pytest.raises(UsageError, match="no crop of valid has a majority"):
        labelled(pack, "valid", ("joy", "rage"))


def test_a_reduced_face_keeps_its_mean() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48), np.uint8)
    small = reduced(images, 24)
    assert (small.shape, small.dtype) == ((3, 24, 24), np.uint8)
    np.testing.assert_allclose(small.mean(axis=(1, 2)), images.mean(axis=(1, 2)), atol=0.5)
    np.testing.assert_array_equal(reduced(images, 48), images)


def test_the_report_says_null_and_the_card_a_dash_where_nothing_is_defined() -> None:
    truth = np.array([0, 0, 1], np.int64)
    logits = np.log(np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1]]))
    found = evaluate(logits, truth, 0.5)
    manifest = ModelManifest("m", "m.keras", "0" * 64, ("a", "b", "c"), temperature=0.5)
    measured = Measurement(
        "somebody's faces, test", "f" * 64, {"used": 3}, found, found, 0.4,
        softmax(logits), truth, {24: found}, evaluate(logits[1:], truth[1:], 0.5),
    )  # fmt: skip
    report = json.loads(as_json(manifest, [measured]))["measured"][0]
    assert report["classes"]["c"] == {"n": 0, "precision": None, "recall": None, "f1": None}
    assert report["accuracy"] == pytest.approx(2 / 3)
    assert np.trace(report["confusion"]["rows_are_truth"]) == 2
    apart = report["without_twins_in_other_splits"]
    assert (apart["n"], apart["accuracy"]) == (2, 0.5)
    card = model_card(manifest, [measured, measured], {"Confusion": "confusion.png"})
    assert "| c | 0 | - | - | - |" in card
    assert "**66.7%**" in card
    assert "1 of the 3 have a twin" in card
    assert "Without them, n=2: accuracy **50.0%** (0.0 to 100.0 %)" in card
    assert "![Confusion](confusion.png)" in card
    assert card.count("## Measured on somebody's faces, test") == 2
