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
    """Measure a classifier on photos it was not trained on.

    FERPLUS is the FER+ zip or its unpacked folder: data/FER2013Test/*.png with a label.csv, and
    data/fer2013new.csv. A photo counts when most of its ten taggers agree (Barsoum 2016).

    Examples:
      emotion-trainer evaluate ferplus.zip
      emotion-trainer evaluate ferplus.zip --limit 256            (a quick look)
      emotion-trainer evaluate ferplus/ --model mine.keras        (mine.json beside it)
      emotion-trainer evaluate ferplus.zip --votes old            (n=3137, as in many papers)
      emotion-trainer evaluate ferplus.zip --format json > report.json
    """

    ferplus: CliPositionalArg[Path] = Field(description="the FER+ zip or its unpacked folder")
    model: Path | None = Field(
        None,
        description="a .keras file with its manifest beside it, or the manifest; the shipped FER+ "
        "model by default",
    )
    split: Literal["test", "valid"] = Field("test", description="the part of FER+ to measure on")
    votes: Literal["new", "old"] = Field(
        "new", description="new: fer2013new.csv; old: the label.csv in each folder"
    )
    format: Literal["table", "json"] = Field("table", description="what is printed")
    limit: int | None = Field(None, ge=1, description="measure on the first N photos only")


class ExportSettings(ProcessSettings):
    """Make a trained Keras model into an artifact that `emotion-worker --model` takes.

    An artifact is NAME.keras with its manifest NAME.json: labels, input, temperature and the
    file's sha256. The model must take gray crops (N, side, side, 1) with values 0..255 (rescale
    inside the model) and give one output per label.

    Examples:
      emotion-trainer export mine.keras --labels neutral,happiness,sadness --out artifacts
      emotion-trainer export mine.keras --labels 중립,기쁨,슬픔 --name korean --temperature 1.4
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
    temperature: float = Field(
        1.0, ge=1e-3, le=1e3, description="logits are divided by it, so that scores are calibrated"
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


class QuantizeSettings(ProcessSettings):
    """Make the int8 forms of the networks: about as good, faster on CPUs with VNNI.

    --faces quantises the classifier: FER+'s training photos calibrate it, its test photos measure
    what it loses (0.5 points at most). --videos quantises the face detector: it is calibrated on
    some of the frames and compared with float32 on all of them (0.02 of confidence at most). What
    costs more is not written. The files go beside the model and, for the detector, to where the
    worker looks for them.

    Examples:
      emotion-trainer quantize --faces ferplus.zip --videos clips
      emotion-trainer quantize --faces ferplus.zip --model mine.keras
      emotion-trainer quantize --videos clips --videos more/door.mp4 --detector-out int8
    """

    model: Path | None = Field(
        None,
        description="the classifier: a .keras file with its manifest beside it, or the manifest; "
        "the shipped FER+ model by default",
    )
    faces: Path | None = Field(None, description="the FER+ zip or its unpacked folder")
    videos: list[Path] = Field([], description="a folder of videos or a video; repeatable")
    calibrate: int = Field(400, ge=1, description="photos or frames to calibrate with")
    limit: int | None = Field(
        None, ge=1, description="measure the classifier on the first N test photos only"
    )
    detector_out: Path | None = Field(
        None, description="write the detector's files to this folder instead"
    )


class TrainerSettings(BaseSettings):
    """Measure emotion classifiers and hand them to the worker.

    Examples:
      emotion-trainer evaluate ferplus.zip
      emotion-trainer export mine.keras --labels neutral,happiness,sadness
      emotion-trainer quantize --faces ferplus.zip --videos clips
      emotion-trainer export --help

    Every flag can be set in the environment: --temperature is EMOTION_TEMPERATURE.
    """

    model_config = ProcessSettings.model_config

    evaluate: CliSubCommand[EvaluateSettings] = Field(
        description="accuracy and calibration of an artifact on FER+"
    )
    export: CliSubCommand[ExportSettings] = Field(
        description="a .keras file and its labels become an artifact for the worker"
    )
    quantize: CliSubCommand[QuantizeSettings] = Field(
        description="int8 forms of the classifier and the detector for fast CPUs"
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
