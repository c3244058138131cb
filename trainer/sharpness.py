"""Sharpness-aware minimisation: a step follows the gradient at the worst point nearby.

P. Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization", ICLR 2021
(arXiv 2010.01412).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from trainer.training import Training

_TINY = 1e-12


class SharpTraining(Training):
    """`Training` with two passes a step, and so twice its cost.

    The first pass finds the direction in which the loss rises most, the second the gradient
    `train.sam` away in that direction; the step is taken from where the weights were. What the
    network remembers, batch norms' means and variances and the mean of its weights, comes from the
    first pass; loss and accuracy are those of the second. Both see the same drop-outs and noise.
    Weight decay acts on the weights of the second: they differ by a thousandth.
    """

    def train_step(self, *arguments: Any) -> Any:
        if keras.config.backend() == "jax":
            return self._jax_step(*arguments)
        return self._tensorflow_step(*arguments)

    def _tensorflow_step(self, data: Any) -> Any:
        import tensorflow

        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        weights = self.trainable_variables
        memory = [*self.network.non_trainable_variables, *self.means]
        before = [ops.copy(variable) for variable in memory]
        with tensorflow.GradientTape() as tape:
            loss = self.compute_loss(y_pred=self(batch, training=True))
        shifts = self._shifts(tape.gradient(loss, weights))
        after = [ops.copy(variable) for variable in memory]
        _assign(memory, before)
        _assign(weights, [weight + shift for weight, shift in zip(weights, shifts, strict=True)])
        logs = super().train_step(data)
        _assign(weights, [weight - shift for weight, shift in zip(weights, shifts, strict=True)])
        _assign(memory, after)
        return logs

    def _jax_step(self, state: Any, data: Any) -> Any:
        import jax

        weights, memory, optimizer, metrics = state
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        (_, first), gradients = jax.value_and_grad(self.compute_loss_and_updates, has_aux=True)(
            weights, memory, metrics, batch, None, None, training=True,
            optimizer_variables=optimizer,
        )  # fmt: skip
        _, _, memory_after, _ = first
        shifts = self._shifts(gradients)
        shifted = [weight + shift for weight, shift in zip(weights, shifts, strict=True)]
        logs, (moved, _, optimizer, metrics) = super().train_step(
            (shifted, memory, optimizer, metrics), data
        )
        back = [weight - shift for weight, shift in zip(moved, shifts, strict=True)]
        return logs, (back, memory_after, optimizer, metrics)

    def _shifts(self, gradients: Sequence[Any]) -> list[Any]:
        """From the weights to the worst point, to first order, at a distance of `train.sam`."""
        length = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients))
        return [self.recipe.train.sam * gradient / (length + _TINY) for gradient in gradients]


def _assign(variables: Sequence[Any], values: Sequence[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
