"""A model and the manifest that says what it is: the trainer writes them, the worker verifies.

`NAME.keras` lies beside `NAME.json`, the manifest. A worker that finds the two apart or at odds
refuses to start: a model fed with another input than it was trained on fails silently otherwise.

`emotion-trainer quantize` writes a network's int8 form beside it: OpenVINO IR, an .xml and a .bin.
It is bound to exactly the weights that it was made from, by their sha256.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from contract import wire
from contract.crop import CropRule
from contract.errors import ArtifactError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Int8:
    """A network's int8 form, in the folder of the manifest that holds this entry.

    file           name of the .xml; the .bin beside it has the same stem
    source_sha256  of the file with the weights that it was quantised from
    xml_sha256     of the .xml
    bin_sha256     of the .bin
    made           calibration data, recipe, versions
    measured       what it costs, and on what
    """

    file: str
    source_sha256: str
    xml_sha256: str
    bin_sha256: str
    made: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def decode(cls, raw: Any) -> Int8:
        """The entry as JSON has it. Raises `ValueError` that says what is wrong."""
        if not isinstance(raw, dict):
            raise ValueError(f"int8: expected a map, got {type(raw).__name__}")
        sums = ("source_sha256", "xml_sha256", "bin_sha256")
        if missing := [key for key in ("file", *sums) if not isinstance(raw.get(key), str)]:
            raise ValueError(f"int8: expected text in {', '.join(missing)}")
        file = raw["file"]
        if Path(file).name != file or not file.endswith(".xml"):
            raise ValueError(f"int8: file: expected a plain file name NAME.xml, got {file!r}")
        return cls(
            file=file,
            source_sha256=raw["source_sha256"].lower(),
            xml_sha256=raw["xml_sha256"].lower(),
            bin_sha256=raw["bin_sha256"].lower(),
            made=_map(raw, "made"),
            measured=_map(raw, "measured"),
        )


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """What a classifier is and what it was trained to see.

    name           short name, part of every event
    file           the model's file name, in the manifest's folder
    sha256         of that file, in hexadecimal
    labels         the classes in the order of the model's outputs
    input_shape    (height, width, channels) of one face crop, gray values 0..255
    output         "logits" (a temperature applies) or "probabilities"
    temperature    logits are divided by it before the softmax, so that scores are calibrated
    crop           how faces are cut for it; the worker refuses a rule that is not its own
    recipe         what it was trained by: the recipe's name, its values, seed, epochs
    data           "trained_on" and "calibrated_on": name and fingerprint of a pack each
    versions       of what trained and what exported it
    made           more of how it was made, in its maker's words: architecture, licence
    measured       what it scored: a map for each set of faces
    int8           its int8 form, if it has one

    What is not known is absent: nothing from `crop` on need be there.
    """

    name: str
    file: str
    sha256: str
    labels: tuple[str, ...]
    input_shape: tuple[int, int, int] = (96, 96, 1)
    output: str = "logits"
    temperature: float = 1.0
    crop: CropRule | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    int8: Int8 | None = None
    format: int = FORMAT

    @property
    def id(self) -> str:
        """``name@first 12 digits of sha256``: what events carry."""
        return f"{self.name}@{self.sha256[:12]}"

    def write(self, path: Path) -> None:
        """Write the manifest as JSON."""
        fields = {key: value for key, value in asdict(self).items() if value not in (None, {})}
        path.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def read(cls, path: Path) -> ModelManifest:
        """The manifest in a JSON file. Raises `ArtifactError` naming the file and what is wrong."""
        try:
            raw = json.loads(path.read_text("utf-8"))
        except FileNotFoundError as error:
            raise ArtifactError(f"{path}: the model's manifest is missing") from error
        except (OSError, ValueError, RecursionError) as error:
            raise ArtifactError(f"{path}: cannot read the manifest: {error}") from error
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            got = raw.get("format") if isinstance(raw, dict) else type(raw).__name__
            raise ArtifactError(f"{path}: expected manifest format {FORMAT}, got {got!r}")
        try:
            manifest = cls(
                name=wire.name(raw["name"]),
                file=str(raw["file"]),
                sha256=str(raw["sha256"]).lower(),
                labels=check_labels(raw["labels"]),
                input_shape=_shape(raw["input_shape"]),
                output=wire.one_of("logits", "probabilities")(raw["output"]),
                temperature=wire.number(1e-3, 1e3)(raw["temperature"]),
                crop=CropRule.decode(raw["crop"]) if "crop" in raw else None,
                recipe=_map(raw, "recipe"),
                data=_map(raw, "data"),
                versions=_map(raw, "versions"),
                made=_map(raw, "made"),
                measured=_map(raw, "measured"),
                int8=Int8.decode(raw["int8"]) if "int8" in raw else None,
            )
        except KeyError as error:
            raise ArtifactError(f"{path}: the manifest has no {error.args[0]!r}") from error
        except (TypeError, ValueError) as error:
            raise ArtifactError(f"{path}: {error}") from error
        # Of the formats that Keras reads only this one has a safe mode.
        if Path(manifest.file).name != manifest.file or not manifest.file.endswith(".keras"):
            raise ArtifactError(
                f"{path}: file: expected a plain file name NAME.keras, got {manifest.file!r}"
            )
        if len(manifest.id) > wire.MAX_NAME_CHARS:
            raise ArtifactError(f"{path}: name: too long")
        return manifest


def check_labels(labels: Iterable[Any]) -> tuple[str, ...]:
    """`labels` if events can carry them: every face has a score for each, and an event with
    `wire.MAX_FACES` faces must fit `wire.MAX_EVENT_BYTES`. Raises `ValueError`.
    """
    names = tuple(wire.name(label) for label in labels)
    if not 2 <= len(names) <= wire.MAX_LABELS or len(set(names)) != len(names):
        raise ValueError(
            f"labels: expected 2-{wire.MAX_LABELS} different labels, got {len(names)}, "
            f"{len(set(names))} of them different"
        )
    if longest := [name for name in names if len(name) > wire.MAX_LABEL_CHARS]:
        raise ValueError(
            f"labels: expected at most {wire.MAX_LABEL_CHARS} characters each, got {longest[0]!r}"
        )
    return names


def find_artifact(path: Path) -> tuple[Path, ModelManifest]:
    """The verified model file and its manifest, for a path to either of the two.

    Raises `ArtifactError` naming the file when one is missing or the model's sha256 is not the
    manifest's.
    """
    manifest_path = path if path.suffix == ".json" else path.with_suffix(".json")
    if path.suffix != ".json" and not path.is_file():
        raise ArtifactError(f"{path}: no such model file")
    manifest = ModelManifest.read(manifest_path)
    model_path = manifest_path.parent / manifest.file
    if path.suffix != ".json" and model_path != path:
        raise ArtifactError(f"{manifest_path}: describes {manifest.file}, expected {path.name}")
    if not model_path.is_file():
        raise ArtifactError(f"{model_path}: no such model file (named by {manifest_path.name})")
    actual = file_sha256(model_path)
    if actual != manifest.sha256:
        raise ArtifactError(
            f"{model_path}: expected sha256 {manifest.sha256[:12]}… as {manifest_path.name} says, "
            f"got {actual[:12]}…"
        )
    return model_path, manifest


def find_int8(folder: Path, int8: Int8, source_sha256: str) -> Path:
    """The verified .xml of an int8 form; its .bin is verified, too.

    folder         where the manifest with that entry lies
    source_sha256  of the weights in use

    Raises `ArtifactError` naming the file when one is missing or is not what the entry says, or
    was made from other weights.
    """
    xml = folder / int8.file
    if int8.source_sha256 != source_sha256:
        raise ArtifactError(
            f"{xml}: was quantised from weights {int8.source_sha256[:12]}…, those in use are "
            f"{source_sha256[:12]}…; run emotion-trainer quantize again"
        )
    for path, expected in ((xml, int8.xml_sha256), (xml.with_suffix(".bin"), int8.bin_sha256)):
        if not path.is_file():
            raise ArtifactError(f"{path}: no such file (named by the manifest's int8 entry)")
        actual = file_sha256(path)
        if actual != expected:
            raise ArtifactError(
                f"{path}: expected sha256 {expected[:12]}… as its manifest says, got {actual[:12]}…"
            )
    return xml


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _map(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key, {})
    if not isinstance(value, dict):
        raise ValueError(f"{key}: expected a map, got {type(value).__name__}")
    return value


def _shape(value: Any) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3 or math.prod(value) <= 0:
        raise ValueError(f"input_shape: expected [height, width, channels], got {value!r}")
    height, width, channels = (wire.integer(1, 4096)(side) for side in value)
    return height, width, channels
