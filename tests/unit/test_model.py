"""The network: stock is Keras' own, the reference is the one shipped, each switch does its part."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.conftest import SHARED
from trainer.cost import milliseconds_per_face, multiply_adds
from trainer.model import build
from trainer.switches import REFERENCE, ModelSwitches

TINY = ModelSwitches(side_px=64, blocks=(1, 1, 1, 1), width=0.125)
TINY_REFERENCE = replace(REFERENCE, side_px=64, blocks=(1, 1, 1, 1), width=0.125)


def crops(count: int, side_px: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (count, side_px, side_px, 1))
    return noise.astype(np.float32)


def outputs(model: keras.Model, x: np.ndarray, *, training: bool = False) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model(x, training=training)))


def ours(layer: str) -> str:
    """Our name for a layer of `keras.applications.ResNet50`."""
    if layer.startswith("conv1_"):
        return {"conv1_conv": "stem_conv", "conv1_bn": "stem_norm"}[layer]
    if layer == "predictions":
        return "logits"
    stage, block, number, kind = layer.split("_")
    start = f"stage{int(stage[-1]) - 1}_{block}_"
    if kind == "bn":
        return start + ("shortcut_norm" if number == "0" else f"{number}_norm")
    return start + ("shortcut" if number == "0" else f"conv{number}")


def test_the_defaults_are_keras_own_resnet50() -> None:
    stock = build(ModelSwitches(), 8)
    keras_own = keras.applications.ResNet50(
        weights=None, input_shape=(96, 96, 1), classes=8, classifier_activation=None
    )
    assert stock.count_params() == keras_own.count_params() == 23_597_832
    assert multiply_adds(stock) == multiply_adds(keras_own)
    for layer in keras_own.layers:
        if layer.weights:
            stock.get_layer(ours(layer.name)).set_weights(layer.get_weights())
    x = crops(2, 96)
    np.testing.assert_allclose(outputs(stock, x), outputs(keras_own, x), rtol=1e-4, atol=1e-4)


def test_the_references_weights_load_and_give_its_answers() -> None:
    file = SHARED / "models" / "reference_resnet50.keras"
    if not file.is_file():
        pytest.skip(f"{file} is not here")
    theirs = keras.models.load_model(file, compile=False)
    same = build(REFERENCE, 8)
    assert [w.shape for w in same.weights] == [w.shape for w in theirs.weights]
    assert same.count_params() == 26_127_320
    same.set_weights(theirs.get_weights())
    x = crops(3, 96)
    np.testing.assert_allclose(outputs(same, x), outputs(theirs, x), rtol=1e-5, atol=1e-5)
    rates = [layer.rate for layer in theirs.layers if isinstance(layer, keras.layers.Dropout)]
    drops = [layer.rate for layer in same.layers if isinstance(layer, keras.layers.Dropout)]
    assert sorted(drops) == pytest.approx(sorted(rates))


def test_a_saved_model_loads_where_this_project_is_not(tmp_path: Path) -> None:
    switches = replace(TINY_REFERENCE, blur_pool=True, pool="attention")
    for name, one in (("attention", switches), ("gem", replace(TINY, pool="gem", min_max=True))):
        model = build(one, 3)
        model.save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", outputs(model, crops(2, 64)))
    np.save(tmp_path / "crops.npy", crops(2, 64))
    script = (
        "import sys, keras, numpy as np\n"
        "assert not any(name.split('.')[0] == 'trainer' for name in sys.modules)\n"
        "for name in ('attention', 'gem'):\n"
        "    model = keras.models.load_model(name + '.keras')\n"
        "    found = np.asarray(model(np.load('crops.npy')))\n"
        "    np.testing.assert_allclose(found, np.load(name + '.npy'), rtol=1e-4, atol=1e-5)\n"
        "try:\n    import trainer\nexcept ImportError:\n    print('alone')\n"
    )
    # -S and no PYTHONPATH would lose Keras too; the folder it runs in is what holds the project.
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1:] in (["alone"], [])


@pytest.fixture(scope="module")
def plain() -> keras.Model:
    keras.utils.set_random_seed(3)
    return build(TINY, 4)


@pytest.mark.parametrize(
    ("change", "parameters"),
    [
        ({"stem": "3x3x3"}, None),
        ({"stride_on": "3x3"}, 0),
        ({"shortcut": "avgpool"}, 0),
        ({"se": 0.25}, None),
        ({"stride_on": "3x3", "blur_pool": True}, 0),
        ({"pool": "gem"}, 0),
        ({"pool": "attention"}, 257),
        ({"stem_pool": False}, 0),
    ],
)
def test_every_switch_changes_the_answers(
    plain: keras.Model, change: dict[str, object], parameters: int
) -> None:
    keras.utils.set_random_seed(3)
    other = build(replace(TINY, **change), 4)  # type: ignore[arg-type]
    if "pool" in change and change["pool"] == "attention":  # begins as the mean
        attention = other.get_layer("attention")
        attention.set_weights([np.ones(w.shape) for w in attention.weights])
    x = crops(2, 64)
    assert other.output_shape == (None, 4)
    assert np.abs(outputs(plain, x) - outputs(other, x)).max() > 1e-6
    if parameters is not None:
        assert other.count_params() - plain.count_params() == parameters


def test_min_max_makes_brightness_and_contrast_no_matter_and_flat_crops_harmless() -> None:
    for values in ("0..255", "-1..1"):
        model = build(replace(TINY, min_max=True, values=values), 3)
        x = crops(2, 64)
        dim = x * 0.25 + 60
        np.testing.assert_allclose(outputs(model, x), outputs(model, dim), rtol=1e-2, atol=1e-2)
        flat = np.full((1, 64, 64, 1), 7, np.float32)
        assert np.isfinite(outputs(model, flat)).all()


def test_a_zero_initialised_block_is_its_shortcut() -> None:
    model = build(replace(TINY, blocks=(2, 1, 1, 1), zero_init=True), 3)
    name = "stage1_block2"
    before = model.get_layer("stage1_block1_out").output
    ends = keras.Model(model.input, [before, model.get_layer(f"{name}_out").output])
    first, second = ends(crops(2, 64))
    np.testing.assert_allclose(np.asarray(first), np.asarray(second))


def test_drop_path_drops_whole_blocks_in_training_only() -> None:
    model = build(replace(TINY, drop_path=0.9), 3)
    x = np.repeat(crops(1, 64), 16, axis=0)
    still = outputs(model, x)
    assert np.ptp(still, axis=0).max() < 1e-4
    drop = model.get_layer("stage4_block1_drop_path")
    ones = np.ones((64, 2, 2, 8), np.float32)
    kept = np.asarray(drop(ones, training=True)).reshape(64, -1)
    assert (kept == kept[:, :1]).all()
    assert 0 < (kept[:, 0] == 0).sum() < 64


def test_blur_pool_is_a_binomial_filter_and_halves() -> None:
    model = build(replace(TINY_REFERENCE, blur_pool=True), 3)
    dot = np.zeros((1, 8, 8, 1), np.float32)
    dot[0, 4, 4] = 16
    layers = [model.get_layer(f"stage2_block1_{part}") for part in ("blur_pad", "blur1", "blur2")]
    x = keras.ops.convert_to_tensor(dot)
    for layer in layers:
        x = layer(x)
    expected = np.zeros((4, 4))
    expected[2, 2] = 4  # 16 x 1/2 x 1/2; its neighbours are two pixels off, where 1-2-1 ends
    np.testing.assert_allclose(np.asarray(x)[0, ..., 0], expected)


def test_costs_are_counted_by_hand_too() -> None:
    x = keras.Input((8, 8, 1))
    y = keras.layers.Conv2D(4, 3, 2, "same")(x)
    y = keras.layers.Dense(5)(keras.layers.Flatten()(y))
    model = keras.Model(x, y)
    assert multiply_adds(model) == 4 * 4 * 4 * 9 + 64 * 5
    assert milliseconds_per_face(model, rounds=1) > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"side_px": 48},
        {"blocks": (0, 1, 1, 1)},
        {"width": 0.0},
        {"blur_pool": True},
        {"dropout": 1.0},
        {"min_max_epsilon": 0.0},
    ],
)
def test_impossible_switches_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ModelSwitches(**wrong)  # type: ignore[arg-type]
