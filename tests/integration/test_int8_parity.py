"""The shipped int8 forms against float32: photos with known labels, and every shipped clip."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contract.artifact import ModelManifest
from tests.conftest import REPOSITORY, SHARED
from trainer.quantize import detector, ir
from trainer.quantize.faces import unseen_faces
from worker.classifier import DEFAULT_ARTIFACT, classifier_source
from worker.faces.detector import detector_source

openvino = pytest.importorskip("openvino")

FERPLUS = SHARED / "data" / "ferplus.zip"
DEMO = REPOSITORY / "deploy" / "demo" / "people.mp4"
CLIPS = sorted(
    path for path in (SHARED / "videos").glob("*") if path.suffix in detector.VIDEO_SUFFIXES
)
EVERY = 6  # frames of a clip resemble their neighbours


def start(name: str, total: int) -> Callable[[int], object]:
    return lambda done: None


@cache
def float_detector() -> Any:
    return ir.float_form(detector_source())


@cache
def int8_detector() -> Any:
    xml = detector_source().int8
    assert xml is not None
    return openvino.Core().read_model(xml)


@pytest.mark.parametrize("clip", [DEMO, *CLIPS], ids=lambda path: path.stem)
def test_the_faces_of_int8_are_those_of_float32(clip: Path) -> None:
    first, second = detector.looks([clip])
    cost = detector.measure(
        float_detector(), int8_detector(), first[::EVERY], second[::EVERY], start
    )
    assert cost.faces > 0
    assert cost.lost == 0
    assert cost.worst <= 0.02
    assert cost.overlap >= detector.MIN_OVERLAP
    assert cost.fault is None


@pytest.mark.skipif(not FERPLUS.is_file(), reason=f"needs FER+ in {FERPLUS}")
def test_int8_is_as_right_as_float32_on_photos() -> None:
    """float32's accuracy is read from the manifest: its weights are bound by their sha256."""
    manifest, source = classifier_source(DEFAULT_ARTIFACT)
    assert source.int8 is not None and manifest.int8 is not None
    model = openvino.Core().read_model(source.int8)
    faces = unseen_faces(FERPLUS, manifest)
    assert len(faces.truth) == 3153

    outputs = np.stack(ir.run(model, faces.crops, ir.precisions()[-1], list, lambda done: None))
    accuracy = (outputs.argmax(axis=1) == faces.truth).mean()

    assert manifest.int8.measured["float32_accuracy"] == pytest.approx(0.896, abs=0.001)
    assert accuracy >= manifest.int8.measured["float32_accuracy"] - 0.005


@pytest.mark.parametrize("entry", [DEFAULT_ARTIFACT.with_suffix(".json")])
def test_the_shipped_files_name_no_folder_of_the_machine_that_made_them(entry: Path) -> None:
    int8 = ModelManifest.read(entry).int8
    assert int8 is not None
    xmls = [entry.parent / int8.file, detector_source().int8]
    for xml in xmls:
        assert xml is not None
        text = xml.read_text("utf-8")
        assert "/home/" not in text and "/work" not in text and "/tmp/" not in text
