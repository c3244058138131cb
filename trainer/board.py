"""A run's curves for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras

from contract.errors import UsageError


class Board(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Writes event files into `folder`: at each epoch's end every value of its history entry.

    Needs the package tensorboard and not TensorFlow, so it serves JAX as well; Keras' own callback
    needs both, and knows nothing of what is measured on validation here. A run that goes on adds a
    file; TensorBoard reads all. Raises `UsageError` where the package is missing or the folder
    cannot be written.

    entry   gives the newest history entry
    """

    def __init__(self, folder: Path, entry: Callable[[], Mapping[str, float]]) -> None:
        super().__init__()
        require_tensorboard()
        from tensorboard.summary import Writer

        self._entry = entry
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = Writer(str(folder))
        except OSError as error:
            raise UsageError(
                f"--tensorboard {folder}: cannot write: {error.strerror or error}"
            ) from error

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        entry = self._entry()
        for name, value in entry.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, int(entry["epoch"]))
        self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        self._writer.close()


def require_tensorboard() -> None:
    """Raise `UsageError` where it is not installed."""
    if find_spec("tensorboard") is None:
        raise UsageError("--tensorboard: the package tensorboard is missing: pip install it")
