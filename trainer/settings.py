"""Flags and environment of `emotion-trainer`; the docstrings are its --help."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, CliPositionalArg, CliSubCommand

from contract.process.settings import ProcessSettings
from trainer.export_settings import ExportSettings, distinct_labels
from trainer.train_settings import AblateSettings, TrainCommandSettings


class EvaluateSettings(ProcessSettings):
    """Measure a classifier on faces it was not trained on.

    A PACK is made by emotion-trainer prepare. A face counts when most of those who labelled it
    agree. Further packs are other data sets: what the model makes of faces it knows nothing of.

    Examples:
      emotion-trainer evaluate shipped ferplus.pack
      emotion-trainer evaluate shipped ferplus.pack --limit 256       (a quick look)
      emotion-trainer evaluate mine.keras mine.pack --out report      (mine.json beside it)
      emotion-trainer evaluate mine.keras mine.pack ferplus.pack --format json > report.json
      emotion-trainer evaluate mine.keras mine.pack --int8 --into-manifest --out report

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
    int8: bool = Field(False, description="measure the model's int8 form, too, on the first pack")
    into_manifest: bool = Field(
        False, description="write the main figures into the model's manifest, too"
    )
    limit: int | None = Field(None, ge=1, description="measure on the first N faces only")


_TEXT_LISTS = frozenset({"--made", "--set"})  # may hold commas


class PrepareSettings(ProcessSettings):
    """Make a data set into one file to train from, and say what is in it.

    DATA is a folder or a zip: FER+ (its folders, or fer2013.csv with fer2013new.csv), AI Hub's
    한국인 감정인식을 위한 복합 영상, K-Face, a folder per class, or a CSV with the columns
    path,label[,person,split] beside the images. Zips are read in place. Photos are cropped with
    the worker's own detector; where the data names persons, no person is in two splits.

    Beside OUT.pack come OUT.audit.html (look at it before you train) and OUT.audit.json. Stopped
    or killed, the same command goes on where it was.

    Examples:
      emotion-trainer prepare ferplus.zip --out ferplus.pack
      emotion-trainer prepare aihub/ --out aihub.pack
      emotion-trainer prepare photos/ --out mine.pack --label-map names.toml
      emotion-trainer prepare muxspace.zip --faces close-up --out muxspace.pack --limit 500
    """

    data: CliPositionalArg[Path] = Field(description="the data set: a folder, a zip or a CSV")
    out: Path = Field(description="the pack to write, as in my.pack")
    format: Literal["auto", "ferplus", "aihub", "kface", "table", "folder"] = Field(
        "auto", description="how DATA is laid out; auto looks at the names"
    )
    faces: Literal["auto", "find", "close-up", "whole"] = Field(
        "auto",
        description="find: photos, whose faces are found; close-up: the same with a margin put "
        "around them first; whole: the images are crops already; auto: as the data set's layout "
        "says, and small squares of one size are crops",
    )
    split: Literal["auto", "person", "image"] = Field(
        "auto",
        description="auto: the data's own parts unless persons are in two of them, else by person "
        "or, where none are named, by image; image: only to see how much a split that mixes "
        "persons flatters",
    )
    labels: list[str] = Field(
        [], description="only these classes, in this order: a,b,c; by default all in the data"
    )
    label_map: Path | None = Field(
        None, description="a file with more label names, laid out as trainer/data/labels.toml"
    )
    limit: int | None = Field(None, ge=1, description="about this many images only (a quick look)")
    threads: int | None = Field(
        None, ge=1, le=256, description="threads that decode; by default one for each core"
    )
    force: bool = Field(False, description="replace a pack, and what another run has left")

    @field_validator("labels")
    @classmethod
    def _labels(cls, value: list[str]) -> list[str]:
        return distinct_labels(value)


class QuantizeSettings(ProcessSettings):
    """Make the int8 forms of the networks: about as good, faster on CPUs with VNNI.

    --faces quantises the classifier: the training part of a pack (or of FER+ as it is downloaded)
    calibrates it, the test part measures what it loses (0.5 points at most). --videos quantises
    the face detector: it is calibrated on some of the frames and compared with float32 on all of
    them (0.02 of confidence at most). What costs more is not written. The files go beside the
    model and, for the detector, to where the worker looks for them.

    Examples:
      emotion-trainer quantize --faces ferplus.zip --videos clips
      emotion-trainer quantize --faces mine.pack --model mine.keras
      emotion-trainer quantize --videos clips --videos more/door.mp4 --detector-out int8
    """

    model: Path | None = Field(
        None,
        description="the classifier: a .keras file with its manifest beside it, or the manifest; "
        "the shipped FER+ model by default",
    )
    faces: Path | None = Field(
        None, description="a pack, made by emotion-trainer prepare, or FER+: the zip or its folder"
    )
    videos: list[Path] = Field([], description="a folder of videos or a video; repeatable")
    calibrate: int = Field(400, ge=1, description="photos or frames to calibrate with")
    limit: int | None = Field(
        None, ge=1, description="measure the classifier on the first N test photos only"
    )
    detector_out: Path | None = Field(
        None, description="write the detector's files to this folder instead"
    )


class TrainerSettings(BaseSettings):
    """Prepare data, train and measure emotion classifiers and hand them to the worker.

    Examples:
      emotion-trainer prepare photos/ --out mine.pack
      emotion-trainer train mine.pack --out runs/mine
      emotion-trainer export runs/mine/model.keras --calibrate mine.pack --out artifacts
      emotion-trainer evaluate artifacts/mine.keras mine.pack --into-manifest --out report
      emotion-trainer quantize --faces ferplus.zip --videos clips
      emotion-trainer export --help

    Every flag can be set in the environment: --temperature is EMOTION_TEMPERATURE.
    """

    model_config = ProcessSettings.model_config

    prepare: CliSubCommand[PrepareSettings] = Field(
        description="a data set becomes a pack to train from, and an audit of it"
    )
    train: CliSubCommand[TrainCommandSettings] = Field(
        description="a pack and a recipe become a model"
    )
    ablate: CliSubCommand[AblateSettings] = Field(
        description="what each modification of the network is worth"
    )
    evaluate: CliSubCommand[EvaluateSettings] = Field(
        description="accuracy and calibration of a model; its model card"
    )
    export: CliSubCommand[ExportSettings] = Field(
        description="a .keras file and its labels become an artifact for the worker"
    )
    quantize: CliSubCommand[QuantizeSettings] = Field(
        description="int8 forms of the classifier and the detector for fast CPUs"
    )


def quoted(arguments: Sequence[str]) -> list[str]:
    """`arguments` with the values of --made and --set quoted.

    pydantic-settings splits the values of a list at commas, and "data=FER+, 8 classes" holds one.
    """
    result: list[str] = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if result and result[-1] in _TEXT_LISTS:
            argument = json.dumps(argument, ensure_ascii=False)
        elif equals and flag in _TEXT_LISTS:
            argument = f"{flag}={json.dumps(value, ensure_ascii=False)}"
        result.append(argument)
    return result
