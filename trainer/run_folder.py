"""The folder of one training run: what goes in, how far it is, what came out.

run.json      what it is made from, and how it ended
recipe.toml   the recipe as used, every value written out
history.json  one entry an epoch
curves.png    the same as a picture
model.keras   the best weights on validation so far
state.npz     everything needed to go on after a kill; gone when the run has ended
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contract.errors import UsageError
from trainer.whole import whole, write_json, write_text

Values = list[npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class State:
    """A run between two epochs.

    epoch      epochs done
    values     by group (network, means, optimizer, best), each in the order of its variables
    history    one entry an epoch
    best       the history entry of the best epoch
    seconds    spent so far
    """

    epoch: int
    values: Mapping[str, Values]
    history: Sequence[Mapping[str, float]]
    best: Mapping[str, float]
    seconds: float


class RunFolder:
    """One run's folder; everything in it is written whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = path / "model.keras"
        self._state = path / "state.npz"
        self._run = path / "run.json"

    def claim(self, inputs: Mapping[str, Any], recipe: str) -> None:
        """Make it this run's. Raises `UsageError` when another run's results are in it."""
        before = self.about()
        if before is None:
            if self.path.is_dir() and any(self.path.iterdir()):
                raise UsageError(f"{self.path}: expected a new or empty folder, or a run's")
            write_text(self.path / "recipe.toml", recipe)
            write_json(self._run, {"inputs": dict(inputs), "outcome": None})
            return
        wanted = json.loads(json.dumps(dict(inputs)))
        for key, value in before["inputs"].items():
            if wanted.get(key) != value:
                raise UsageError(
                    f"{self.path}: holds a run with another {key.replace('_', ' ')}: "
                    "give another folder, or the same arguments to go on"
                )

    def about(self) -> dict[str, Any] | None:
        """run.json: "inputs" and "outcome" (None until the run has ended); None without one."""
        try:
            found = json.loads(self._run.read_text("utf-8"))
            if isinstance(found["inputs"], dict) and "outcome" in found:
                return dict(found)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{self._run}: cannot read it: {error}") from error
        raise UsageError(f"{self._run}: expected a run's inputs and outcome")

    def save(self, state: State) -> None:
        """Replace the state on disk."""
        arrays = {
            f"{group}/{number}": value
            for group, values in state.values.items()
            for number, value in enumerate(values)
        }
        about = {
            "epoch": state.epoch,
            "history": list(state.history),
            "best": dict(state.best),
            "seconds": state.seconds,
            "counts": {group: len(values) for group, values in state.values.items()},
        }
        with whole(self._state) as unfinished, unfinished.open("wb") as stream:
            np.savez(stream, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]

    def load(self) -> State | None:
        """The state on disk, None if there is none. Raises `UsageError` when it is damaged."""
        if not self._state.is_file():
            return None
        try:
            with np.load(self._state) as stored:
                about = json.loads(str(stored["about"]))
                values = {
                    group: [stored[f"{group}/{number}"] for number in range(count)]
                    for group, count in about["counts"].items()
                }
            return State(about["epoch"], values, about["history"], about["best"], about["seconds"])
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise UsageError(
                f"{self._state}: cannot read it: {error}: delete it to start the run anew"
            ) from error

    def write_history(self, history: Sequence[Mapping[str, float]]) -> None:
        write_json(self.path / "history.json", list(history))

    def end(self, outcome: Mapping[str, Any]) -> None:
        """The run has ended: write its outcome, drop its state."""
        about = self.about() or {"inputs": {}}
        write_json(self._run, {"inputs": about["inputs"], "outcome": dict(outcome)})
        self._state.unlink(missing_ok=True)
