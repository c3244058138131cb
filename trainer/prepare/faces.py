"""How the faces of a data set are found, and the detector that finds them."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from PIL import Image

from trainer.data.record import Faces, Reading, Unreadable
from worker.faces.crop import CROP_SIDE
from worker.faces.detector import FaceDetector

Wanted = Literal["auto", "find", "close-up", "whole"]

# A data set of small squares, all of one size, holds crops: FER2013's are 48 px, others' 64 to 112.
_LARGEST_CROP_PX = 112
_LOOKED_AT = 24


def decide(reading: Reading, wanted: Wanted) -> tuple[Faces, int]:
    """How faces are found and how large crops become, in pixels.

    "auto" is what the reader says; for folders and tables, which may hold anything, small squares
    of one size are taken for crops.
    """
    if wanted == "auto":
        side = None if reading.side_px else _common_square(reading)
        if side is None:
            return reading.faces, reading.side_px or CROP_SIDE
        return "whole", min(side, CROP_SIDE)
    return wanted, (reading.side_px if wanted == "whole" else None) or CROP_SIDE


def open_detector() -> FaceDetector:
    """The worker's own, on the fastest engine at hand. Takes seconds: TensorFlow is imported."""
    from contract.process.logs import native_output_to_debug

    with native_output_to_debug():
        from worker.engines.keras import KerasEngine

        detector = FaceDetector(KerasEngine("float32"))  # the same pack on every machine
        detector.detect([np.zeros((64, 64, 3), np.uint8)])  # TensorFlow talks at its first call
        return detector


def _common_square(reading: Reading) -> int | None:
    """The side of the squares that all images seem to be, None if they are not."""
    if reading.reader not in ("folder", "table"):
        return None
    step = max(1, len(reading.records) // _LOOKED_AT)
    sizes = set()
    for record in reading.records[::step]:
        try:
            with Image.open(io.BytesIO(record.source.read())) as image:
                sizes.add(image.size)
        except (Unreadable, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
    if len(sizes) != 1:
        return None
    width, height = sizes.pop()
    return width if width == height <= _LARGEST_CROP_PX else None
