"""The model: is it there, is it what its manifest says, will its labels mean anything?"""

from __future__ import annotations

from pathlib import Path

from contract.affect import COORDINATES
from contract.artifact import find_artifact, find_int8
from contract.errors import ArtifactError
from worker.check.row import Row, ok, warning
from worker.classifier import DEFAULT_ARTIFACT


def look_at_model(path: Path | None) -> Row:
    """The artifact at `path`, the shipped one if None. Raises `ArtifactError`."""
    file, manifest = find_artifact(path or DEFAULT_ARTIFACT)
    said = f"{manifest.id}, sha256 as its manifest says; {len(manifest.labels)} labels: "
    said += ", ".join(manifest.labels)
    if manifest.int8 is not None:
        try:
            find_int8(file.parent, manifest.int8, manifest.sha256)
        except ArtifactError as error:
            said += f"; its int8 form cannot be used: {error}"
            return warning(
                "model", said, "copy it again, or make it anew: emotion-trainer quantize"
            )
        said += "; with an int8 form"
    if strange := [label for label in manifest.labels if label not in COORDINATES]:
        return warning(
            "model",
            f"{said}; no valence and arousal are known for {', '.join(strange)}",
            "give them to what plays: emotion-events --affect TABLE",
        )
    return ok("model", said)
