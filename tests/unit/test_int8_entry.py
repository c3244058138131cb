"""An int8 form is offered only as it was written, for the weights it was made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.artifact import Int8, ModelManifest, file_sha256, find_int8
from contract.errors import ArtifactError
from trainer.quantize.detector import compare
from worker.faces.int8 import find_detector_int8, write_entry
from worker.int8 import offered

SOURCE = "5" * 64


@pytest.fixture
def int8(tmp_path: Path) -> Int8:
    xml = tmp_path / "net.int8.xml"
    xml.write_text("<net/>")
    xml.with_suffix(".bin").write_bytes(b"weights")
    return Int8(xml.name, SOURCE, file_sha256(xml), file_sha256(xml.with_suffix(".bin")))


def test_what_was_written_is_found(int8: Int8, tmp_path: Path) -> None:
    write_entry(tmp_path / "net.json", int8)
    assert find_detector_int8(SOURCE, tmp_path / "net.json") == tmp_path / "net.int8.xml"
    assert find_detector_int8(SOURCE, tmp_path / "none.json") is None


def test_a_manifest_keeps_its_int8_entry(int8: Int8, tmp_path: Path) -> None:
    manifest = ModelManifest("mine", "mine.keras", SOURCE, ("a", "b"))
    manifest.write(tmp_path / "old.json")
    assert "int8" not in json.loads((tmp_path / "old.json").read_text())
    assert ModelManifest.read(tmp_path / "old.json").int8 is None
    replace(manifest, int8=int8).write(tmp_path / "new.json")
    assert ModelManifest.read(tmp_path / "new.json").int8 == int8


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda xml: xml.write_text("<net />"), r"net\.int8\.xml: expected sha256 .* got"),
        (lambda xml: xml.with_suffix(".bin").write_bytes(b""), r"net\.int8\.bin: expected sha256"),
        (lambda xml: xml.unlink(), r"net\.int8\.xml: no such file"),
        (lambda xml: xml.with_suffix(".bin").unlink(), r"net\.int8\.bin: no such file"),
    ],
)
def test_a_damaged_form_is_refused_by_name_or_left_out(
    int8: Int8, tmp_path: Path, spoil: Callable[[Path], object], text: str
) -> None:
    spoil(tmp_path / int8.file)
    with pytest.raises(ArtifactError, match=text):
        find_int8(tmp_path, int8, SOURCE)
    assert offered(lambda: find_int8(tmp_path, int8, SOURCE)) is None


def test_a_form_of_other_weights_is_refused(int8: Int8, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="was quantised from weights 5555"):
        find_int8(tmp_path, int8, "6" * 64)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (None, "expected a map, got NoneType"),
        ({"file": "a.xml"}, "expected text in source_sha256, xml_sha256, bin_sha256"),
        ({"file": "../a.xml"}, "expected a plain file name NAME.xml"),
        ({"file": "a.bin"}, "expected a plain file name NAME.xml"),
        ({"file": 7}, "expected text in file"),
    ],
)
def test_a_broken_entry_says_what_is_wrong(raw: Any, text: str, tmp_path: Path) -> None:
    if isinstance(raw, dict) and len(str(raw["file"])) > 1 and raw["file"] != "a.xml":
        raw |= dict.fromkeys(("source_sha256", "xml_sha256", "bin_sha256"), SOURCE)
    (tmp_path / "net.json").write_text(json.dumps({"format": 1, "int8": raw}))
    with pytest.raises(ArtifactError, match=rf"net\.json: .*{text}"):
        find_detector_int8(SOURCE, tmp_path / "net.json")


def face(confidence: float, left: float = 0.1) -> list[float]:
    return [left, 0.1, left + 0.4, 0.5, confidence]


def faces(*rows: list[float]) -> Any:
    return np.array(rows, np.float32).reshape(-1, 5)


def test_a_face_is_compared_with_the_one_at_its_place() -> None:
    cost = compare(
        [faces(face(0.9), face(0.6, 0.55)), faces()], [faces(face(0.61, 0.55), face(0.88)), faces()]
    )
    assert (cost.frames, cost.faces, cost.lost, cost.other_count) == (1, 2, 0, 0)
    assert cost.worst == pytest.approx(0.02, abs=1e-6)
    assert cost.overlap == pytest.approx(1.0)


def test_a_face_just_below_the_threshold_is_a_difference_and_one_gone_is_lost() -> None:
    near = compare([faces(face(0.505)), faces()], [faces(face(0.495)), faces()])
    assert (near.lost, near.other_count) == (0, 1)
    assert near.worst == pytest.approx(0.01, abs=1e-6)
    assert near.fault is None
    gone = compare([faces(face(0.9)), faces()], [faces(face(0.9, 0.5)), faces()])
    assert gone.fault == "loses 1 of 1 faces"
    moved = compare([faces(face(0.9)), faces()], [faces(face(0.87)), faces()])
    assert moved.fault == "moves a confidence by 0.0300, 0.02 at most"
