"""Augmentation: known answers for each change, and chance that depends on seed, epoch and step."""

from __future__ import annotations

from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest

from trainer.augment import augmented, mixed
from trainer.draw import COLUMNS, draw, generator, unchanged
from trainer.recipe import AugmentSettings, read_recipe

SEED_SETTINGS = read_recipe("seed").augment
EVERYTHING = replace(
    read_recipe("best").augment, noise_sigma=(1, 5), low_resolution=0.5, zoom_keeps_shape=False
)
PLAIN = AugmentSettings()


def smooth(count: int, side_px: int) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (count, 6, 6)).astype(np.uint8)
    return np.stack([cv2.resize(one, (side_px, side_px)) for one in noise])


def numbers(count: int = 1, **values: float) -> np.ndarray:
    found = unchanged(count)
    for name, value in values.items():
        found[:, COLUMNS.index(name)] = value
    return found


def shown(
    crops: np.ndarray,
    given: np.ndarray,
    settings: AugmentSettings = PLAIN,
    side_px: int | None = None,
    seed: int = 1,
) -> np.ndarray:
    seeds = keras.random.SeedGenerator(seed)
    found = augmented(crops, given, settings, side_px or crops.shape[1], seeds)
    return np.asarray(keras.ops.convert_to_numpy(found))[..., 0]


def test_unchanged_crops_stay_as_they_are() -> None:
    crops = smooth(3, 32)
    assert (shown(crops, unchanged(3)) == crops).all()
    every = replace(EVERYTHING, noise_sigma=(0, 0))
    np.testing.assert_allclose(shown(crops, unchanged(3), every), crops, atol=1e-3)


@pytest.mark.parametrize("side_px", [64, 96])
def test_resizing_is_opencvs(side_px: int) -> None:
    crops = smooth(2, 48)
    theirs = [cv2.resize(c.astype(np.float32), (side_px, side_px)) for c in crops]
    np.testing.assert_allclose(shown(crops, unchanged(2), side_px=side_px), theirs, atol=1e-2)


def test_a_flip_is_a_mirror_image_and_a_quarter_turn_turns() -> None:
    crops = smooth(1, 32)
    np.testing.assert_allclose(shown(crops, numbers(xx=-1))[0], crops[0, :, ::-1], atol=1e-3)
    turned = shown(crops, numbers(xx=0, yy=0, xy=1, yx=-1))[0]
    np.testing.assert_allclose(turned, np.rot90(crops[0], -1), atol=1e-3)


def test_a_shift_moves_and_repeats_the_edge() -> None:
    crops = smooth(1, 32)
    moved = shown(crops, numbers(tx=4 / 32, ty=-2 / 32))[0]
    np.testing.assert_allclose(moved[2:, :-4], crops[0, :-2, 4:], atol=1e-3)
    np.testing.assert_allclose(moved[2:, -4:], np.repeat(crops[0, :-2, -1:], 4, 1), atol=1e-3)
    np.testing.assert_allclose(moved[0], moved[2], atol=1e-3)


def test_shear_is_in_degrees_as_image_data_generators_is() -> None:
    given = draw(SEED_SETTINGS, 2000, generator(1, 0, 0))
    for row in given:
        x = dict(zip(COLUMNS, row, strict=True))
        turn_and_shear = abs(x["xx"] * x["yy"] - x["xy"] * x["yx"])  # = zoom x zoom x cos(shear)
        assert 0.8**2 * 0.99999 <= turn_and_shear <= 1.2**2
    only = AugmentSettings(shear_deg=8)
    sheared = draw(only, 2000, generator(1, 0, 0))
    lean = np.rad2deg(np.arcsin(-sheared[:, COLUMNS.index("yx")]))
    assert -8 <= lean.min() < -7.5
    assert 7.5 < lean.max() <= 8


def test_the_draws_stay_in_the_seeds_ranges() -> None:
    given = draw(SEED_SETTINGS, 4000, generator(1, 0, 0))
    column = {name: given[:, place] for place, name in enumerate(COLUMNS)}
    assert 1 <= column["noise"].min() < 1.1
    assert 4.9 < column["noise"].max() <= 5
    assert np.hypot(column["tx"], column["ty"]).max() <= 0.07 * np.sqrt(2) + 1e-6
    mirrored = column["xx"] * column["yy"] - column["xy"] * column["yx"] < 0
    assert 0.45 < mirrored.mean() < 0.55
    turn = np.rad2deg(np.arctan2(column["xy"], column["yy"]))  # of what the zoom left alone
    assert 38 < np.abs(turn).max() <= 40 + 1e-3


def test_noise_has_the_sigma_drawn() -> None:
    crops = np.full((2, 96, 96), 128, np.uint8)
    given = numbers(2)
    given[:, COLUMNS.index("noise")] = [2, 5]
    found = shown(crops, given, AugmentSettings(noise_sigma=(1, 5)))
    assert found.std(axis=(1, 2)) == pytest.approx([2, 5], rel=0.05)
    assert found.mean() == pytest.approx(128, abs=0.2)


def test_contrast_turns_about_the_crops_mean_and_brightness_adds() -> None:
    crops = np.full((1, 32, 32), 100, np.uint8)
    crops[0, :16] = 140
    found = shown(crops, numbers(gain=0.5, offset=10), AugmentSettings(contrast=0.3))[0]
    assert (found[0, 0], found[-1, 0]) == pytest.approx((140, 120))
    bright = shown(crops, numbers(offset=200), AugmentSettings(brightness=1))[0]
    assert bright.max() == 255


def test_erasing_fills_its_rectangle_with_noise_and_nothing_else() -> None:
    crops = np.full((1, 32, 32), 50, np.uint8)
    box = {"top": 0.25, "left": 0.5, "bottom": 0.5, "right": 0.75}
    found = shown(crops, numbers(**box), AugmentSettings(erase=1))[0]
    inside = np.zeros((32, 32), bool)
    inside[8:16, 16:24] = True
    assert (found[~inside] == 50).all()
    assert found[inside].std() > 40


def test_drawn_rectangles_cover_their_share_and_come_as_often_as_asked() -> None:
    given = draw(AugmentSettings(erase=0.5), 4000, generator(1, 0, 0))
    top, left, bottom, right = (
        given[:, COLUMNS.index(n)] for n in ("top", "left", "bottom", "right")
    )
    erased = bottom > top
    assert 0.46 < erased.mean() < 0.54
    share = ((bottom - top) * (right - left))[erased]
    assert share.min() >= 0.019
    assert share.max() <= 0.251
    assert min(top.min(), left.min()) >= 0
    assert max(bottom.max(), right.max()) <= 1 + 1e-6


def test_mixing_gives_crops_and_targets_the_same_shares() -> None:
    crops = np.stack([np.full((32, 32), level, np.uint8) for level in (0, 100, 200)])
    given = numbers(3)
    given[:, COLUMNS.index("keep")] = [1, 0.75, 0.5]
    found = shown(crops, given, AugmentSettings(mixup=0.2))[:, 0, 0]
    assert found == pytest.approx([0, 75, 150])
    targets = np.eye(3, dtype=np.float32)
    keep = given[:, COLUMNS.index("keep"), None]
    blended = np.asarray(keras.ops.convert_to_numpy(mixed(targets, keep)))
    np.testing.assert_allclose(blended, [[1, 0, 0], [0.25, 0.75, 0], [0, 0.5, 0.5]])
    drawn = draw(AugmentSettings(mixup=0.3), 1000, generator(1, 0, 0))[:, COLUMNS.index("keep")]
    assert 0.5 <= drawn.min() < drawn.max() <= 1


def test_a_small_face_loses_what_is_finer_than_a_quarter() -> None:
    stripes = np.zeros((1, 96, 96), np.uint8)
    stripes[:, :, ::2] = 200
    found = shown(stripes, numbers(coarse=1), AugmentSettings(low_resolution=1))
    np.testing.assert_allclose(found, 100, atol=1e-2)
    ramp = np.tile(np.arange(96, dtype=np.uint8), (96, 1))[None]
    kept = shown(ramp, numbers(coarse=1), AugmentSettings(low_resolution=1))
    np.testing.assert_allclose(kept[0, :, 4:-4], ramp[0, :, 4:-4], atol=1e-2)


def test_chance_depends_on_seed_epoch_and_step_alone() -> None:
    first = draw(EVERYTHING, 8, generator(1, 2, 3))
    assert (draw(EVERYTHING, 8, generator(1, 2, 3)) == first).all()
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert (draw(EVERYTHING, 8, generator(*other)) != first).any()
    crops = smooth(8, 32)
    assert (shown(crops, first, EVERYTHING) == shown(crops, first, EVERYTHING)).all()
    assert (shown(crops, first, EVERYTHING) != shown(crops, first, EVERYTHING, seed=2)).any()


def test_switching_one_change_off_leaves_the_others() -> None:
    one = draw(EVERYTHING, 8, generator(1, 0, 0))
    other = draw(replace(EVERYTHING, erase=0), 8, generator(1, 0, 0))
    same = [COLUMNS.index(name) for name in ("xx", "tx", "gain", "noise", "keep")]
    assert (one[:, same] == other[:, same]).all()


def test_compiled_it_gives_the_same() -> None:
    if keras.config.backend() != "tensorflow":
        pytest.skip("compiled by the training run")
    import tensorflow as tf

    crops, given = smooth(4, 48), draw(EVERYTHING, 4, generator(1, 0, 0))
    still = replace(EVERYTHING, noise_sigma=(0, 0), erase=0)  # noise differs between compilers

    seeds = keras.random.SeedGenerator(1)

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def compiled(crops: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
        return augmented(crops, given, still, 64, seeds)

    plain = shown(crops, given, still, side_px=64)
    found = compiled(tf.constant(crops), tf.constant(given))[..., 0]
    np.testing.assert_allclose(found, plain, atol=0.05)
