"""What is measured of a classifier, against what its outputs are by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contract.artifact import ModelManifest
from trainer.calibrate import cross_entropy
from trainer.evaluate import calibration_error, softmax
from trainer.measure import Measurement, measure
from trainer.pack import Pack
from trainer.pack_writer import PackWriter

LABELS = ("left", "right")
SIDE, COUNT, TEMPERATURE = 32, 24, 3.0


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """Crops with a step of gray from left to right, not one alike; the last votes are divided."""
    rng = np.random.default_rng(2)
    with PackWriter(tmp_path / "my.pack", LABELS, SIDE) as writer:
        for number in range(COUNT):
            crop = rng.integers(60, 120, (SIDE, SIDE)).astype(np.uint8)
            side = slice(SIDE // 2) if number % 2 else slice(SIDE // 2, None)
            crop[:, side] += np.uint8(2 * number)
            votes = [7.0, 3.0] if number % 2 else [1.0, 9.0]
            writer.add(crop, votes, "test", None, str(number))
        return writer.finish()


def brighter_side(images: np.ndarray) -> np.ndarray:
    """Logits for left and right: by how much that half is the brighter one, and a bias."""
    half = images.shape[2] // 2
    difference = images[:, :, :half].mean(axis=(1, 2)) - images[:, :, half:].mean(axis=(1, 2))
    return np.stack([difference / 8 + 1.5, np.zeros(len(images))], 1).astype(np.float32)


def measured(pack: Pack, network: object = brighter_side) -> Measurement:
    manifest = ModelManifest("m", "m.keras", "0" * 64, LABELS, temperature=TEMPERATURE)
    return measure(network, manifest, pack, "test")  # type: ignore[arg-type]


def test_scores_and_errors_are_calibrated(pack: Pack) -> None:
    found = measured(pack)
    logits = brighter_side(pack.images(pack.split("test")))
    calibrated = softmax(logits, TEMPERATURE)
    np.testing.assert_allclose(found.probabilities, calibrated)
    assert found.single.temperature == TEMPERATURE
    assert found.single.ece_after == pytest.approx(calibration_error(calibrated, found.truth))
    assert found.single.ece_before == pytest.approx(calibration_error(softmax(logits), found.truth))
    assert abs(found.single.ece_after - found.single.ece_before) > 0.05
    votes = pack.votes / pack.votes.sum(axis=1, keepdims=True)
    assert found.votes_nll == pytest.approx(cross_entropy(calibrated, votes))


def test_with_flip_is_the_mean_with_the_mirror_image(pack: Pack) -> None:
    """The mirror image says the opposite, so only the bias is left: everything is left."""
    found = measured(pack)
    assert found.single.accuracy > 0.6
    assert found.flipped.confusion[:, 0].tolist() == [COUNT // 2, COUNT // 2]


def test_each_size_is_seen_by_the_network(pack: Pack) -> None:
    sides: list[int] = []

    def network(images: np.ndarray) -> np.ndarray:
        sides.append(images.shape[1])
        return brighter_side(images)

    found = measured(pack, network)
    assert sorted(found.by_size) == [24, 32]
    assert sorted(sides) == [24, 32, 32, 32]
