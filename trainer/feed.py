"""Which crops come in which step, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from trainer.draw import draw, generator
from trainer.pack import Pack
from trainer.recipe import Recipe

_ORDER = 2**31 - 1  # a step no epoch has: the order must not repeat the first step's numbers


class Feed(keras.utils.PyDataset):  # type: ignore[misc]  # keras has no types
    """One epoch's steps for `fit`; `epoch` is set before each. An incomplete step is left out.

    rows    (N,) of `pack`, to learn from
    held    the crops lie on the device, so only their numbers travel
    """

    def __init__(
        self, pack: Pack, rows: npt.NDArray[np.int64], recipe: Recipe, seed: int, *, held: bool
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.pack = pack
        self.rows = rows
        self.recipe = recipe
        self.seed = seed
        self.held = held
        self.batch = min(recipe.train.batch, len(rows))
        self.steps = len(rows) // self.batch
        self.epoch = 0
        self._ordered = (-1, np.empty(0, np.int64))

    @property
    def num_batches(self) -> int:
        return self.steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[dict[str, Any]]:
        # Keras' threads read ahead, some of them for an epoch that is over: read it once.
        epoch = self.epoch
        at = self._order(epoch)[step * self.batch : (step + 1) * self.batch]
        rng = generator(self.seed, epoch, step)
        number = epoch * self.steps + step
        batch: dict[str, Any] = {
            "numbers": draw(self.recipe.augment, self.batch, rng),
            "at": np.stack([at, np.full_like(at, number)], 1).astype(np.int32),
        }
        if not self.held:
            batch["crops"] = self.pack.images(self.rows[at], threads=4)
        return (batch,)

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        known, order = self._ordered
        if known != epoch:
            order = generator(self.seed, epoch, _ORDER).permutation(len(self.rows))
            self._ordered = (epoch, order)
        return order
