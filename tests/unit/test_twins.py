"""Test crops that are in the training part, too."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from contract.artifact import ModelManifest
from trainer.measure import measure
from trainer.pack import Pack, Split
from trainer.pack_writer import PackWriter
from trainer.twins import twins

LABELS = ("left", "right")
SIDE = 24


def picture(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (6, 6)).astype(np.uint8)
    return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)


def pack(path: Path) -> Pack:
    """Rows 0..3 train, 4 valid, 5..9 test; two of the test crops are elsewhere, two alike."""
    train = [picture(seed) for seed in range(4)]
    noisy = cv2.add(train[2], np.random.default_rng(0).integers(0, 3, (SIDE, SIDE), np.uint8))
    valid = [picture(4)]
    test = [picture(5), noisy, valid[0], picture(6), picture(6)]
    parts: list[tuple[Split, list[np.ndarray]]] = [
        ("train", train), ("valid", valid), ("test", test)
    ]  # fmt: skip
    with PackWriter(path, LABELS, SIDE) as writer:
        for split, crops in parts:
            for number, crop in enumerate(crops):
                votes = [5.0, 0.0] if number % 2 == 0 else [0.0, 5.0]
                writer.add(crop, votes, split, None, f"{split}{number}")
        return writer.finish()


def test_a_crop_with_a_likeness_in_another_part_is_a_twin(tmp_path: Path) -> None:
    made = pack(tmp_path / "my.pack")
    assert twins(made, "test").tolist() == [6, 7]  # 8 and 9 are alike, but both of this part
    assert twins(made, "valid").tolist() == [4]
    assert twins(made, "train").tolist() == [2]


def test_accuracy_without_twins_is_of_the_other_crops(tmp_path: Path) -> None:
    made = pack(tmp_path / "my.pack")
    truth = made.truth[made.split("test")]

    def network(images: np.ndarray) -> np.ndarray:
        """Right on the twins only."""
        right = np.array([False, True, True, False, False])
        label = np.where(right, truth, 1 - truth)
        return np.asarray(np.eye(2)[label] * 4, np.float32)

    manifest = ModelManifest("m", "m.keras", "0" * 64, LABELS)
    found = measure(network, manifest, made, "test")  # type: ignore[arg-type]
    assert (found.single.n, found.single.accuracy) == (5, 0.4)
    assert found.apart is not None
    assert (found.apart.n, found.apart.accuracy) == (3, 0.0)
