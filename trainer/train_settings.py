"""Flags of `emotion-trainer train` and `ablate`; the docstrings are their --help."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import CliPositionalArg

from contract.process.settings import ProcessSettings


class _LearnSettings(ProcessSettings):
    pack: CliPositionalArg[Path] = Field(description="made by emotion-trainer prepare")
    recipe: str = Field("best", description="best, seed, or a .toml file of your own")
    out: Path = Field(description="the run's folder; given again, it goes on where it was")
    set: list[str] = Field([], description="one key of the recipe, as train.epochs=30; repeatable")
    held_mb: float = Field(
        4096, gt=0, description="crops are held on the device up to so many megabytes"
    )

    @field_validator("set")
    @classmethod
    def _set(cls, value: list[str]) -> list[str]:
        for item in value:
            if "." not in item.partition("=")[0] or not item.partition("=")[2].strip():
                raise ValueError(f"expected SECTION.KEY=VALUE, {item!r} is not")
        return value

    @property
    def changes(self) -> dict[str, str]:
        """--set as keys and values."""
        pairs = (item.partition("=") for item in self.set)
        return {key.strip(): value.strip() for key, _, value in pairs}


class TrainCommandSettings(_LearnSettings):
    """Train a classifier from a pack.

    --out holds the best model on validation (model.keras), the recipe as used, history and curves.
    Ctrl-C ends after the epoch in hand; a kill loses what came after the last save. The same
    command goes on, on the same curve. KERAS_BACKEND=jax trains on JAX, TensorFlow is the default.

    Examples:
      emotion-trainer train ferplus.pack --out runs/best
      emotion-trainer train ferplus.pack --recipe seed --out runs/seed
      emotion-trainer train mine.pack --recipe mine.toml --out runs/mine --seed 2
      emotion-trainer train mine.pack --out runs/quick --set train.epochs=30 --set model.se=0
      emotion-trainer train mine.pack --out runs/student --teacher runs/best/model.keras
    """

    seed: int = Field(1, ge=0, description="of weights, order and augmentation")
    teacher: list[Path] = Field(
        [], description="a .keras file (or answers.npz) whose answers are learned too; repeatable"
    )
    minutes: float | None = Field(
        None, gt=0, description="stop between two epochs before this has passed"
    )
    save_every: float = Field(60, ge=0, description="seconds between saves of the run's state")
    answers: bool = Field(False, description="also write answers.npz, to teach others with")
    tensorboard: Path | None = Field(
        None, description="write the curves as TensorBoard's event files to this folder"
    )


class AblateSettings(_LearnSettings):
    """Measure what each modification of the network is worth: stock against each, some seeds each.

    Every run has the same recipe and budget, only [model] differs. Runs that have ended are not
    repeated: give the command again on another day and it goes on. Also runs the seed's comparison,
    stock with recipe `seed` against recipe `best`, both with the same budget.

    Examples:
      emotion-trainer ablate ferplus.pack --out ablation
      emotion-trainer ablate ferplus.pack --out ablation --epochs 30 --seeds 3 --minutes 60
      emotion-trainer ablate ferplus.pack --out ablation --minutes 0     (the table so far)
    """

    epochs: int = Field(30, ge=1, description="budget of every run")
    seeds: int = Field(3, ge=1, description="runs of each")
    minutes: float | None = Field(None, ge=0, description="start no run after so long")
