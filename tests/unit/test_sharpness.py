"""Sharpness-aware steps, on TensorFlow or whatever KERAS_BACKEND says."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from trainer.feed import Feed
from trainer.pack import Pack
from trainer.pack_writer import PackWriter
from trainer.recipe import Recipe, read_recipe
from trainer.sharpness import SharpTraining
from trainer.training import Training, optimizer

COUNT, SIDE, RATE = 32, 32, 0.05
MOMENTUM = 0.9

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    rng = np.random.default_rng(1)
    with PackWriter(tmp_path_factory.mktemp("packs") / "my.pack", ("a", "b"), SIDE) as writer:
        for number in range(COUNT):
            crop = rng.integers(0, 200, (SIDE, SIDE)).astype(np.uint8)
            crop[: 8 + 8 * (number % 2)] += 50
            votes = [5.0, 0.0] if number % 2 else [0.0, 5.0]
            writer.add(crop, votes, "train", None, str(number))
        return writer.finish()


def recipe(**changes: str) -> Recipe:
    changes = {"ema": "0", "sam": "0.5"} | changes
    plain = {"batch": str(COUNT), "warm_up_epochs": "0", "schedule": "constant", "clip_norm": "0"}
    plain |= {"rate": str(RATE), "optimizer": "sgd", "weight_decay": "0", "epochs": "1"}
    nothing = ("rotation_deg", "shift", "shear_deg", "zoom", "contrast", "brightness", "erase")
    still = dict.fromkeys([f"augment.{key}" for key in (*nothing, "mixup")], "0")
    still |= {"augment.flip": "false", "augment.noise_sigma": "[0, 0]"}
    train = {f"train.{key}": value for key, value in (plain | changes).items()}
    return read_recipe("seed", still | train | {"model.side_px": str(SIDE)})


def linear() -> keras.Model:
    """A network whose gradient is known in closed form."""
    keras.utils.set_random_seed(3)
    image = keras.Input((SIDE, SIDE, 1))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.Dense(2)(flat))


def with_memory() -> keras.Model:
    """Drop-outs and batch norms, which a pass changes."""
    keras.utils.set_random_seed(3)
    image = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.AveragePooling2D(8)(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.BatchNormalization(momentum=0.5)(keras.layers.Flatten()(x))
    x = keras.layers.Dropout(0.5, seed=5)(x)
    return keras.Model(image, keras.layers.Dense(2)(x))


def fitted(
    kind: type[Training], network: keras.Model, pack: Pack, one: Recipe, epochs: int = 1
) -> tuple[Training, list[float]]:
    rows = pack.split("train")
    goals = np.eye(2, dtype=np.float32)[pack.truth[rows]]
    training = kind(network, one, goals, np.zeros(2, np.float32), pack.images(rows), 1)
    feed = Feed(pack, rows, one, 1, held=True)
    training.compile(optimizer=optimizer(one.train, feed.steps, network), jit_compile=False)
    history = training.fit(feed, epochs=epochs, shuffle=False, verbose=0).history
    return training, history["loss"]


def values(variables: list[keras.Variable]) -> list[np.ndarray]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def test_a_step_follows_the_gradient_at_the_worst_point_nearby(pack: Pack) -> None:
    one = recipe()
    network = linear()
    kernel, bias = values(network.trainable_variables)
    rows = pack.split("train")
    pixels = pack.images(rows).reshape(COUNT, -1) / 255.0
    goals = np.eye(2)[pack.truth[rows]]

    def gradient(kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        powers = np.exp(pixels @ kernel + bias)
        off = (powers / powers.sum(axis=1, keepdims=True) - goals) / COUNT
        return pixels.T @ off, off.sum(axis=0)

    here = gradient(kernel, bias)
    length = np.sqrt(sum((part**2).sum() for part in here))
    worst = [w + 0.5 * part / length for w, part in zip((kernel, bias), here, strict=True)]
    there = gradient(*worst)
    # The two differ enough to tell one from the other.
    assert np.abs(there[0] - here[0]).max() > 0.1 * np.abs(here[0]).max()

    fitted(SharpTraining, network, pack, one)
    step = RATE * (1 + MOMENTUM)  # Nesterov's first
    found = values(network.trainable_variables)
    for before, slope, after in zip((kernel, bias), there, found, strict=True):
        np.testing.assert_allclose(after, before - step * slope, atol=2e-6)


def test_at_no_distance_it_is_plain_training(pack: Pack) -> None:
    found = []
    for kind in (Training, SharpTraining):
        one = recipe(sam="0", ema="0.9")
        training, losses = fitted(kind, with_memory(), pack, one, epochs=3)
        found.append([*values(training.network.variables), *values(training.means), losses])
    for plain, sharp in zip(*found, strict=True):
        np.testing.assert_allclose(sharp, plain, rtol=1e-5, atol=1e-6)


def test_what_the_network_remembers_is_of_where_it_was(pack: Pack) -> None:
    """Of the first pass: one step of plain training remembers the same, at any distance."""
    memories = []
    for kind in (Training, SharpTraining):
        training, _ = fitted(kind, with_memory(), pack, recipe(ema="0.9", sam="50"))
        memories.append(values([*training.network.non_trainable_variables, *training.means]))
    for plain, sharp in zip(*memories, strict=True):
        np.testing.assert_allclose(sharp, plain, rtol=1e-5, atol=1e-6)


def test_the_loss_goes_down(pack: Pack) -> None:
    _, losses = fitted(SharpTraining, linear(), pack, recipe(sam="0.05"), epochs=8)
    assert losses[-1] < 0.8 * losses[0]
