"""Flags of `emotion-trainer export`; the docstring is its --help."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import CliPositionalArg

from contract import wire
from contract.process.settings import ProcessSettings


def distinct_labels(value: list[str]) -> list[str]:
    """Labels as events carry them. Raises `ValueError` when one repeats or cannot be carried."""
    repeated = sorted({label for label in value if value.count(label) > 1})
    if repeated:
        raise ValueError(f"expected different labels, {', '.join(repeated)} repeats")
    return [wire.name(label) for label in value]


class ExportSettings(ProcessSettings):
    """Make a trained Keras model into an artifact that `emotion-worker --model` takes.

    An artifact is NAME.keras with its manifest NAME.json: labels, input, how faces are cut,
    temperature, sha256, recipe, data, versions, what was measured. What flags leave out, the run
    says that the model is of, or a manifest beside it. The model must take gray crops
    (N, side, side, 1) with values 0..255 (rescale inside the model) and give one output per label.

    Other formats are for other runtimes: a folder NAME-FORMAT of files and manifest.json, whose
    network takes "crops", (N, side, side, 1) uint8, and gives "scores", calibrated probabilities:
    the temperature is inside. It is run and compared with Keras before it is put there.

    Examples:
      emotion-trainer export runs/mine/model.keras --calibrate mine.pack --out artifacts
      emotion-trainer export mine.keras --labels neutral,happiness,sadness --out artifacts
      emotion-trainer export mine.keras --labels 중립,기쁨,슬픔 --name korean --calibrate mine.pack
      emotion-trainer export mine.keras --labels sad,glad --output probabilities \\
          --made "data=my photos, 2 classes" --made "licence=private"
      emotion-worker --model artifacts/mine.keras
      emotion-trainer export shipped --format onnx --out elsewhere
    """

    model: CliPositionalArg[Path] = Field(
        description="the .keras file; shipped = the FER+ model of this package"
    )
    format: Literal["keras", "onnx", "saved_model", "openvino"] = Field(
        "keras", description="keras: for the worker; the others: for other runtimes"
    )
    labels: list[str] = Field(
        [],
        description="the classes in the order of the model's outputs: a,b,c; by default those of "
        "its run, or of the manifest beside it",
    )
    name: str | None = Field(
        None,
        description="short name, part of every event; by default the run folder's or the file's",
    )
    temperature: float | None = Field(
        None,
        ge=1e-3,
        le=1e3,
        description="logits are divided by it, so that scores are calibrated; 1 by default",
    )
    calibrate: Path | None = Field(
        None,
        examples=["mine.pack"],
        description="a pack: fit the temperature on its validation part",
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
        return distinct_labels(value)

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
