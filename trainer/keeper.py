"""What `fit` does between epochs: judge the weights, keep the best, save the state, say so."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from contract.errors import EmotionStreamError, UsageError
from trainer.feed import Feed
from trainer.judge import Judge, score
from trainer.options import Options
from trainer.progress import Progress
from trainer.run_folder import RunFolder, State, Values
from trainer.training import Training

_LOOK_EVERY_STEPS = 50  # reading the loss waits for the device


class Diverged(EmotionStreamError):
    """The loss is no number any more."""


@dataclass(frozen=True, slots=True)
class Valid:
    """The crops a run is judged on: (M, side, side) uint8, (M,) int64, (M, labels) float32."""

    crops: npt.NDArray[np.uint8]
    truth: npt.NDArray[np.int64]
    wanted: npt.NDArray[np.float32]


class Keeper(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """The run's memory. `epoch` counts those done; `seconds` of all sessions of the run."""

    def __init__(
        self,
        folder: RunFolder,
        training: Training,
        feed: Feed,
        judge: Judge,
        valid: Valid,
        options: Options,
        progress: Progress,
        clock: Callable[[], float],
        started_s: float,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.training = training
        self.feed = feed
        self.judge = judge
        self.valid = valid
        self.options = options
        self.progress = progress
        self.clock = clock
        self.started_s = started_s
        self.epochs = training.recipe.train.epochs
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.best: Mapping[str, float] = {}
        self.best_values: Values = []
        self._earlier_s = 0.0
        self._saved_s = clock()
        self._epoch_began_s = clock()

    @property
    def seconds(self) -> float:
        return self._earlier_s + self.clock() - self.started_s

    @property
    def out_of_patience(self) -> bool:
        patience = self.training.recipe.train.patience
        return bool(patience and self.best and self.epoch - self.best["epoch"] >= patience)

    def newest(self) -> Mapping[str, float]:
        """The history entry of the last epoch."""
        return self.history[-1]

    def restore(self, state: State) -> None:
        """Take up a run where `state` was saved. Raises `UsageError` if it is another network's."""
        for group, variables in self._groups().items():
            values = state.values.get(group, [])
            if [v.shape for v in variables] != [v.shape for v in values]:
                raise UsageError(f"{self.folder.path}: its state is another network's")
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        self.epoch = state.epoch
        self.history = [dict(entry) for entry in state.history]
        self.best, self.best_values = state.best, list(state.values["best"])
        self._earlier_s = state.seconds

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.feed.epoch = epoch
        self._epoch_began_s = self.clock()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        done = batch + 1
        if done % _LOOK_EVERY_STEPS or done == self.feed.steps:
            return
        self._require_number(float(logs["loss"]), done)
        spent_s = self.clock() - self._epoch_began_s
        epochs_left = self.epochs - self.epoch - done / self.feed.steps
        self.progress.step(
            self.epoch + 1,
            self.epochs,
            done / self.feed.steps,
            done * self.feed.batch / spent_s,
            spent_s * self.feed.steps / done * epochs_left,
        )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loss = float(logs["loss"])
        self._require_number(loss, self.feed.steps)
        trained_s = self.clock() - self._epoch_began_s
        self.judge.take(self.training.kept)
        accuracy, valid_loss = score(
            self.judge.logits(self.valid.crops), self.valid.truth, self.valid.wanted
        )
        self.epoch = epoch + 1
        entry = {
            "epoch": self.epoch,
            "loss": loss,
            "accuracy": float(logs["accuracy"]),
            "valid_loss": valid_loss,
            "valid_accuracy": accuracy,
            "rate": float(keras.ops.convert_to_numpy(self.training.optimizer.learning_rate)),
            "images_per_s": self.feed.steps * self.feed.batch / max(trained_s, 1e-9),
            "seconds": trained_s,
        }
        self.history.append(entry)
        better = not self.best or (accuracy, -valid_loss) > (
            self.best["valid_accuracy"],
            -self.best["valid_loss"],
        )
        if better:
            self.best, self.best_values = entry, self.judge.values()
        self.progress.epoch(entry, self.epochs, best=better)

        spent_s = self.clock() - self._epoch_began_s
        minutes = self.options.minutes
        # Time for another epoch like this one, and for the last files.
        late = minutes is not None and (
            self.clock() - self.started_s + 1.5 * spent_s > 60 * minutes
        )
        late = late or (self.options.stop is not None and self.options.stop.is_set())
        last = self.epoch == self.epochs or self.out_of_patience
        if late or last:
            self.training.stop_training = True
        if late or last or self.clock() - self._saved_s >= self.options.save_every_s:
            self.save()

    def save(self) -> None:
        """Write the state, so that a kill loses nothing before this moment."""
        values = {
            group: [np.asarray(keras.ops.convert_to_numpy(v)) for v in variables]
            for group, variables in self._groups().items()
        }
        self.folder.save(
            State(
                self.epoch,
                values | {"best": self.best_values},
                self.history,
                self.best,
                self.seconds,
            )
        )
        self.folder.write_history(self.history)
        self._saved_s = self.clock()

    def _groups(self) -> dict[str, list[Any]]:
        return {
            "network": list(self.training.network.variables),  # the drop-outs' seeds too
            "means": list(self.training.means),
            "optimizer": list(self.training.optimizer.variables),
        }

    def _require_number(self, loss: float, steps: int) -> None:
        if not math.isfinite(loss):
            raise Diverged(
                f"{self.folder.path}: the loss became {loss} in epoch {self.epoch + 1}, by step "
                f"{steps}: try a lower train.rate or a longer train.warm_up_epochs"
            )
