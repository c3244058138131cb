"""The detector's int8 form, shipped beside this code: OpenVINO IR and the entry that binds it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from contract.artifact import FORMAT, Int8, find_int8
from contract.errors import ArtifactError

ENTRY = Path(__file__).parent / "models" / "res10_ssd.int8.json"


def find_detector_int8(source_sha256: str, entry: Path = ENTRY) -> Path | None:
    """The verified .xml of the int8 detector, or None where there is no entry for one.

    source_sha256  of the caffemodel in use (`weights.weights_sha256`)

    Raises `ArtifactError` naming the file when one is damaged, missing, or of other weights.
    """
    if not entry.is_file():
        return None
    return find_int8(entry.parent, read_entry(entry), source_sha256)


def read_entry(path: Path) -> Int8:
    """The entry in a JSON file. Raises `ArtifactError` naming the file and what is wrong."""
    try:
        raw = json.loads(path.read_text("utf-8"))
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise ValueError(f"expected a map of format {FORMAT}")
        return Int8.decode(raw.get("int8"))
    except (OSError, TypeError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: cannot read the int8 entry: {error}") from error


def write_entry(path: Path, int8: Int8) -> None:
    """Write the entry as JSON."""
    fields = {"format": FORMAT, "int8": asdict(int8)}
    path.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", "utf-8")
