"""Recipes: what is shipped, what a user changes, what is refused and how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from contract.errors import UsageError
from trainer.recipe import AugmentSettings, Recipe, as_toml, read_recipe
from trainer.switches import REFERENCE, ModelSwitches


def test_seed_is_a_stock_resnet50_with_the_seeds_own_augmentation() -> None:
    seed = read_recipe("seed")
    assert replace(seed.model, min_max=False) == ModelSwitches()
    assert seed.augment == AugmentSettings(
        rotation_deg=40,
        shift=0.07,
        shear_deg=0.2,
        zoom=0.2,
        zoom_keeps_shape=False,
        flip=True,
        noise_sigma=(1, 5),
    )
    train = seed.train
    assert (train.optimizer, train.rate, train.schedule) == ("adam", 1e-3, "constant")
    assert (train.targets, train.ema, train.weight_decay) == ("hard", 0, 0)


def test_best_is_the_reference_network_with_its_recipe() -> None:
    best = read_recipe("best")
    assert best.model == REFERENCE
    assert (best.augment.erase, best.augment.mixup, best.augment.shear_deg) == (0.5, 0.2, 8)
    assert (best.train.rate, best.train.weight_decay, best.train.ema) == (0.1, 5e-4, 0.9995)


@pytest.mark.parametrize("name", ["seed", "best"])
def test_a_recipe_written_out_reads_back_the_same(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(name)
    file = tmp_path / f"{name}.toml"
    file.write_text(as_toml(recipe), "utf-8")
    assert read_recipe(str(file)) == recipe


def test_single_keys_can_be_set_over_a_recipe() -> None:
    changes = {"train.epochs": "3", "model.blocks": "[1, 1, 1, 1]", "model.stem": "3x3x3"}
    recipe = read_recipe("seed", changes)
    assert (recipe.train.epochs, recipe.model.blocks) == (3, (1, 1, 1, 1))
    assert recipe.model.stem == "3x3x3"
    assert recipe.train.rate == read_recipe("seed").train.rate


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("train.epoch", "3", r"\[train\]: unknown 'epoch': did you mean 'epochs'"),
        ("tran.epochs", "3", "unknown 'tran': did you mean 'train'"),
        ("train.epochs", "3.5", "epochs: expected a whole number, got 3.5"),
        ("train.epochs", "true", "epochs: expected a whole number, got True"),
        ("train.rate", "nan", "rate: expected a number"),
        ("train.rate", "0", "rate: expected more than 0"),
        ("augment.flip", "1", "flip: expected true or false, got 1"),
        ("augment.noise_sigma", "[5, 1]", "noise_sigma: expected 0 <= low <= high"),
        ("model.blocks", "[1, 2]", "blocks: expected 4 numbers"),
        ("model.stem", "5x5", "stem: expected one of 7x7, 3x3x3, got '5x5'"),
        ("model.side_px", "50", "side_px: expected a multiple of 32"),
        ("epochs", "3", "expected SECTION.KEY"),
    ],
)
def test_what_a_recipe_cannot_hold_is_refused_by_name(key: str, value: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_recipe("seed", {key: value})


def test_a_recipe_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such recipe; shipped: best, seed"):
        read_recipe("bset")
    (tmp_path / "broken.toml").write_text("[train\n", "utf-8")
    with pytest.raises(UsageError, match=r"broken\.toml: cannot read the recipe"):
        read_recipe(str(tmp_path / "broken.toml"))
    (tmp_path / "flat.toml").write_text("train = 3\n", "utf-8")
    with pytest.raises(UsageError, match="train: expected a section"):
        read_recipe(str(tmp_path / "flat.toml"))


def test_hard_targets_cannot_come_from_crops_without_a_majority() -> None:
    with pytest.raises(UsageError, match="ambiguous"):
        read_recipe("seed", {"train.ambiguous": "true"})
    assert Recipe().train.ambiguous is False
