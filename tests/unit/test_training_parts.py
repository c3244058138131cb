"""What a step learns from, and how: the parts of a training run, each by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from contract.event import Box
from trainer.crops import resized
from trainer.draw import COLUMNS, unchanged
from trainer.evaluate import softmax
from trainer.feed import Feed
from trainer.judge import Judge
from trainer.pack_writer import PackWriter
from trainer.recipe import Recipe, read_recipe
from trainer.training import Training, optimizer
from worker.faces.crop import SIDE_OF_HEIGHT, crop_face

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIDE = 32


def recipe(**changes: str) -> Recipe:
    small = {"model.side_px": str(SIDE), "train.batch": "4", "train.epochs": "3"}
    return read_recipe("best", small | {k.replace("__", "."): v for k, v in changes.items()})


def network(labels: int = 3) -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 1))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.Dense(labels)(flat))


def crops(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE), np.uint8)


def test_crops_are_resized_as_the_workers_are() -> None:
    """The same square of a photograph, cut out by the worker and as a crop of another size."""
    rng = np.random.default_rng(4)
    photo = rng.integers(0, 256, (120, 120)).astype(np.uint8)
    for side_px in (80, 40, 24, 160):
        whole = crop_face(photo, Box(10, 10, 110, 110), round(100 * SIDE_OF_HEIGHT))
        wanted = crop_face(photo, Box(10, 10, 110, 110), side_px)
        np.testing.assert_array_equal(resized(whole[None], side_px)[0], wanted)


def test_targets_are_mixed_as_their_crops_are() -> None:
    one = recipe(augment__erase="0", augment__contrast="0", augment__brightness="0")
    goals = np.array([[1, 0, 0], [0.25, 0.75, 0], [0, 0, 1]], np.float32)
    images, model = crops(3), network()
    training = Training(model, one, goals, np.zeros(3, np.float32), images, 1)
    numbers = unchanged(3)
    keep = np.array([0.9, 0.6, 0.7], np.float32)
    numbers[:, COLUMNS.index("keep")] = keep
    rows = np.array([2, 0, 1])
    at = np.stack([rows, np.zeros(3, np.int64)], 1).astype(np.int32)
    logits, wanted = training({"numbers": numbers, "at": at})

    def mixed(values: np.ndarray) -> np.ndarray:
        shares = keep.reshape(-1, *[1] * (values.ndim - 1))
        return shares * values[rows] + (1 - shares) * values[np.roll(rows, 1)]

    np.testing.assert_allclose(wanted, mixed(goals), rtol=1e-6)
    seen = mixed(images.astype(np.float32))[..., None]
    np.testing.assert_allclose(logits, model.predict_on_batch(seen), atol=1e-4)


def test_rare_labels_are_made_up_for_in_the_loss() -> None:
    one = recipe(train__logit_adjust="0.5")
    shares = np.array([0.9, 0.09, 0.01], np.float32)
    training = Training(network(), one, np.eye(3, dtype=np.float32), np.log(shares), crops(3), 1)
    logits = np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 3.0]], np.float32)
    wanted = np.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]], np.float32)
    # Menon 2020, equation 10: logits + tau log(share).
    scores = softmax(logits + 0.5 * np.log(shares))
    expected = -(wanted * np.log(scores)).sum(axis=1).mean()
    assert float(training.compute_loss(y_pred=(logits, wanted))) == pytest.approx(expected)


def test_the_rate_warms_up_and_ends_at_nothing_and_gradients_are_clipped() -> None:
    settings = recipe(train__rate="0.4", train__warm_up_epochs="1").train
    made = optimizer(settings, 4, network())
    rates = []
    for step in (0, 2, 4, 8, 12):
        made.iterations.assign(step)
        rates.append(float(keras.ops.convert_to_numpy(made.learning_rate)))
    assert rates == pytest.approx([0, 0.2, 0.4, 0.2, 0], abs=1e-6)
    assert made.global_clipnorm == settings.clip_norm == 5
    constant = recipe(train__optimizer="adam", train__schedule="constant", train__clip_norm="0")
    other = optimizer(constant.train, 4, network())
    other.iterations.assign(1000)
    assert float(keras.ops.convert_to_numpy(other.learning_rate)) == pytest.approx(0.1)
    assert other.global_clipnorm is None


def test_answers_are_the_mean_with_the_mirror_image() -> None:
    judge, images = Judge(network(), 8), crops(5)
    plain = softmax(judge.logits(images))
    mirrored = softmax(judge.logits(np.ascontiguousarray(images[:, :, ::-1])))
    assert np.abs(plain - mirrored).max() > 0.05
    np.testing.assert_allclose(judge.answers(images), (plain + mirrored) / 2, atol=1e-5)


def test_each_epoch_has_an_order_of_its_own_and_every_crop_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with PackWriter(tmp_path_factory.mktemp("packs") / "my.pack", ("a", "b"), SIDE) as writer:
        for number, crop in enumerate(crops(14)):
            votes = [5.0, 0.0] if number % 2 else [0.0, 5.0]
            writer.add(crop, votes, "train", None, str(number))
        pack = writer.finish()
    feed = Feed(pack, pack.split("train"), recipe(), 1, held=True)
    assert len(feed) == 3  # two of fourteen are left over, others in each epoch

    def order(epoch: int) -> list[int]:
        feed.epoch = epoch
        return [row for step in range(3) for row in feed[step][0]["at"][:, 0].tolist()]

    first, second = order(0), order(1)
    assert len(set(first)) == len(set(second)) == 12
    assert first != second
    assert order(0) == first
    feed.epoch = 2
    assert feed[1][0]["at"][:, 1].tolist() == [7] * 4  # the step, counted over epochs
