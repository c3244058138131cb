"""Flags and environment of `emotion-trainer`; the docstrings are its --help."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, CliPositionalArg, CliSubCommand

from contract import wire
from contract.process.settings import ProcessSettings


class EvaluateSettings(ProcessSettings):
    """Measure a classifier on faces it was not trained on.

    A PACK is made by emotion-trainer prepare. A face counts when most of those who labelled it
    agree. Further packs are other data sets: what the model makes of faces it knows nothing of.

    Examples:
      emotion-trainer evaluate shipped ferplus.pack
      emotion-trainer evaluate shipped ferplus.pack --limit 256       (a quick look)
      emotion-trainer evaluate mine.keras mine.pack --out report      (mine.json beside it)
      emotion-trainer evaluate mine.keras mine.pack ferplus.pack --format json > report.json

    --out writes report.json, pictures (confusion, reliability, accuracy by size of the face) and
    the model card, card.md.
    """

    model: CliPositionalArg[Path] = Field(
        description="a .keras file with its manifest beside it, or the manifest; shipped = the "
        "FER+ model of this package"
    )
    packs: CliPositionalArg[list[Path]] = Field(
        min_length=1, description="what to measure on, made by emotion-trainer prepare"
    )
    split: Literal["test", "valid"] = Field("test", description="the part of the packs to measure")
    format: Literal["table", "json"] = Field("table", description="what is printed")
    out: Path | None = Field(None, description="folder for report, pictures and model card")
    limit: int | None = Field(None, ge=1, description="measure on the first N faces only")


class ExportSettings(ProcessSettings):
    """Make a trained Keras model into an artifact that `emotion-worker --model` takes.

    An artifact is NAME.keras with its manifest NAME.json: labels, input, temperature and the
    file's sha256. The model must take gray crops (N, side, side, 1) with values 0..255 (rescale
    inside the model) and give one output per label.

    Examples:
      emotion-trainer export mine.keras --labels neutral,happiness,sadness --out artifacts
      emotion-trainer export mine.keras --labels 중립,기쁨,슬픔 --name korean --calibrate mine.pack
      emotion-trainer export mine.keras --labels sad,glad --output probabilities \\
          --made "data=my photos, 2 classes" --made "licence=private"
      emotion-worker --model artifacts/mine.keras
    """

    model: CliPositionalArg[Path] = Field(description="the .keras file")
    labels: list[str] = Field(
        [], description="the classes in the order of the model's outputs: a,b,c"
    )
    name: str | None = Field(
        None, description="short name, part of every event; the file's name by default"
    )
    temperature: float | None = Field(
        None,
        ge=1e-3,
        le=1e3,
        description="logits are divided by it, so that scores are calibrated; 1 by default",
    )
    calibrate: Path | None = Field(
        None, description="a pack: fit the temperature on its validation part"
    )
    output: Literal["logits", "probabilities"] = Field(
        "logits", description="probabilities: the model ends in a softmax"
    )
    made: list[str] = Field(
        [], description="how it was made, as KEY=VALUE (data, recipe, licence, ...); repeatable"
    )
    out: Path = Field(Path(), description="folder to write to, made if need be")
    force: bool = Field(False, description="replace an artifact of that name")

    @field_validator("labels")
    @classmethod
    def _labels(cls, value: list[str]) -> list[str]:
        repeated = sorted({label for label in value if value.count(label) > 1})
        if repeated:
            raise ValueError(f"expected different labels, {', '.join(repeated)} repeats")
        return [wire.name(label) for label in value]

    @field_validator("name")
    @classmethod
    def _name(cls, value: str | None) -> str | None:
        return None if value is None else wire.name(value)

    @field_validator("made")
    @classmethod
    def _made(cls, value: list[str]) -> list[str]:
        for item in value:
            if not item.partition("=")[0].strip() or "=" not in item:
                raise ValueError(f"expected KEY=VALUE, {item!r} is not")
        return value


class TrainerSettings(BaseSettings):
    """Measure emotion classifiers and hand them to the worker.

    Examples:
      emotion-trainer evaluate shipped ferplus.pack
      emotion-trainer export mine.keras --labels neutral,happiness,sadness
      emotion-trainer export --help

    Every flag can be set in the environment: --temperature is EMOTION_TEMPERATURE.
    """

    model_config = ProcessSettings.model_config

    evaluate: CliSubCommand[EvaluateSettings] = Field(
        description="accuracy and calibration of a model; its model card"
    )
    export: CliSubCommand[ExportSettings] = Field(
        description="a .keras file and its labels become an artifact for the worker"
    )


def quoted(arguments: Sequence[str]) -> list[str]:
    """`arguments` with the values of --made quoted.

    pydantic-settings splits the values of a list at commas, and "data=FER+, 8 classes" holds one.
    """
    result: list[str] = []
    for argument in arguments:
        if result and result[-1] == "--made":
            argument = json.dumps(argument, ensure_ascii=False)
        elif argument.startswith("--made="):
            argument = "--made=" + json.dumps(argument.removeprefix("--made="), ensure_ascii=False)
        result.append(argument)
    return result
