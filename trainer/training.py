"""The model being trained: crops, augmentation, network, loss and the mean of its weights, as one.

A `keras.Model` for `fit`: the same code under TensorFlow and JAX, compiled whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from trainer.augment import augmented, mixed
from trainer.draw import COLUMNS
from trainer.recipe import Recipe, TrainSettings

_KEEP = COLUMNS.index("keep")
_MEAN_WARM_UP_STEPS = 10  # the mean must not remember the first, random weights


class Training(keras.Model):  # type: ignore[misc]  # keras has no types
    """Trains `network`. Its input is a dictionary of

    numbers   (B, columns) float32, `draw`'s
    at        (B, 2) int32: which target each crop has, and the step (the same in all rows)
    crops     (B, s, s) uint8, only where the crops do not fit the device

    crops      (N, s, s) uint8 or None; lies on the device as it is, never as float
    targets    (N, labels) float32
    prior      (labels,) float32, log shares for `logit_adjust`
    """

    def __init__(
        self,
        network: Any,
        recipe: Recipe,
        targets: npt.NDArray[np.float32],
        prior: npt.NDArray[np.float32],
        crops: npt.NDArray[np.uint8] | None,
        seed: int,
    ) -> None:
        super().__init__(name="training", dtype="float32")
        self.network = network
        self.recipe = recipe
        self.prior = prior * recipe.train.logit_adjust
        self.noise_seed = seed
        self.seeds = keras.random.SeedGenerator(seed)
        self.held_targets = self._held(targets, "targets")
        self.held_crops = None if crops is None else self._held(crops, "crops")
        self.averaged = averaged_variables(network)
        self.means: list[Any] = []
        if recipe.train.ema:
            # Plain names: Keras names a variable by its layer's path, and these have no layer.
            self.means = [
                self._held(ops.convert_to_numpy(variable), f"mean_{number}")
                for number, variable in enumerate(self.averaged)
            ]
        self.hits = keras.metrics.Mean(name="accuracy")
        self.built = True

    def call(self, batch: dict[str, Any], training: bool = False) -> tuple[Any, Any]:
        """Logits and targets, (B, labels) each."""
        numbers, rows, step = batch["numbers"], batch["at"][:, 0], batch["at"][0, 1]
        # The noise of a step depends on the seed and the step, not on what was drawn before.
        self.seeds.state.assign(
            ops.cast(ops.stack([ops.cast(self.noise_seed, "int32"), step]), self.seeds.state.dtype)
        )
        crops = batch["crops"] if "crops" in batch else ops.take(self.held_crops, rows, axis=0)
        settings = self.recipe.augment
        images = augmented(crops, numbers, settings, self.recipe.model.side_px, self.seeds)
        wanted = ops.take(self.held_targets, rows, axis=0)
        if settings.mixup:
            wanted = mixed(wanted, numbers[:, _KEEP, None])
        logits = self.network(images, training=training)
        if training:
            self._average(step)
        return logits, wanted

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        logits, wanted = y_pred
        return ops.mean(cross_entropy(logits + self.prior, wanted))

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        logits, wanted = y_pred
        self.hits.update_state(ops.equal(ops.argmax(logits, -1), ops.argmax(wanted, -1)))
        return self.get_metrics_result()

    @property
    def kept(self) -> list[Any]:
        """What is worth keeping of the `averaged_variables`: their means; without EMA, they."""
        return self.means or self.averaged

    def _average(self, step: Any) -> None:
        """Moves the means towards the weights as the last step left them and the newest norms."""
        done = ops.cast(step, "float32")
        share = ops.minimum(self.recipe.train.ema, (1 + done) / (_MEAN_WARM_UP_STEPS + done))
        for mean, variable in zip(self.means, self.averaged, strict=bool(self.means)):
            value = ops.stop_gradient(ops.cast(variable, "float32"))
            mean.assign(mean * share + value * (1 - share))

    def _held(self, values: npt.NDArray[Any], name: str) -> Any:
        return self.add_weight(
            shape=values.shape,
            dtype=str(values.dtype),
            initializer=lambda shape, dtype: ops.convert_to_tensor(values, dtype),
            trainable=False,
            name=name,
        )


def cross_entropy(logits: Any, wanted: Any) -> Any:
    """Of logits (B, labels) with target distributions (B, labels): (B,)."""
    return -ops.sum(wanted * ops.log_softmax(ops.cast(logits, "float32")), axis=-1)


def averaged_variables(network: Any) -> list[Any]:
    """What the mean is of: kernels, biases, and the batch norms' own means and variances.

    Those too, because they belong to the weights: the mean weights with the last weights' norms
    are a network nobody trained.
    """
    return list(network.weights)


def optimizer(settings: TrainSettings, steps_per_epoch: int, network: Any) -> Any:
    """The recipe's optimizer for `network`, its rate following the recipe's schedule."""
    steps = settings.epochs * steps_per_epoch
    warm_up = round(settings.warm_up_epochs * steps_per_epoch)
    rate: Any = settings.rate
    if settings.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warm_up else settings.rate,
            max(1, steps - warm_up),
            warmup_target=settings.rate if warm_up else None,
            warmup_steps=warm_up,
        )
    elif warm_up:
        rate = keras.optimizers.schedules.PolynomialDecay(1e-8, warm_up, settings.rate)
    clip = settings.clip_norm or None
    made: Any
    if settings.optimizer == "adam":
        made = keras.optimizers.Adam(
            rate, weight_decay=settings.weight_decay or None, global_clipnorm=clip
        )
        if settings.weight_decay:
            kept = [v for v in network.trainable_variables if not decays(v, settings)]
            made.exclude_from_weight_decay(var_list=kept)
        return made
    decayed = [v for v in network.trainable_variables if decays(v, settings)]
    return DecayingSGD(rate, settings.weight_decay, decayed, clip)


def decays(variable: Any, settings: TrainSettings) -> bool:
    """Whether weight decay pulls at it."""
    excites = "_squeeze/" in variable.path or "_excite/" in variable.path
    return len(variable.shape) > 1 and (settings.decay_squeeze or not excites)


class DecayingSGD(keras.optimizers.SGD):  # type: ignore[misc]  # keras has no types
    """Nesterov SGD with L2 in the gradient, as PyTorch's `weight_decay`.

    Keras' own `weight_decay` works beside the momentum and so pulls ten times less. Recipes of the
    literature, and the reference model's, mean this one. Added after clipping.
    """

    def __init__(
        self, rate: Any, decay: float, decayed: Sequence[Any], clip_norm: float | None
    ) -> None:
        super().__init__(rate, momentum=0.9, nesterov=True, global_clipnorm=clip_norm)
        self.l2 = decay
        self.decayed = {self._var_key(variable) for variable in decayed}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self.l2 and self._var_key(variable) in self.decayed:
            gradient = gradient + self.l2 * ops.cast(variable, gradient.dtype)
        super().update_step(gradient, variable, learning_rate)
