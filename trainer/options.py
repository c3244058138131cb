"""How a training run is carried out, beside its recipe."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """What does not change the result (but for `seed` and `teachers`).

    seed           of weights, order and augmentation
    teachers       .keras files or their answers (.npz); see `trainer.teachers`
    minutes        stop between two epochs before this has passed; None = at the recipe's last
    stop           set by others: end after the epoch in hand, the state saved
    save_every_s   longest stretch lost to a kill, if an epoch is not longer
    held_mb        crops are held on the device up to this, and sent batch by batch beyond
    dtype          a Keras policy; None = mixed_bfloat16 on a GPU, float32 elsewhere
    compiled       XLA; None = yes under JAX and on a GPU. On a CPU TensorFlow is quicker without
    answers        also write what the best weights answer on the training crops (answers.npz)
    log_dir        TensorBoard's folder; None = none
    """

    seed: int = 1
    teachers: Sequence[Path] = ()
    minutes: float | None = None
    stop: threading.Event | None = None
    save_every_s: float = 60.0
    held_mb: float = 4096.0
    dtype: str | None = None
    compiled: bool | None = None
    answers: bool = False
    log_dir: Path | None = None
