"""The loop with PyPI's `fer`: its own detector, its own seven-class network; optional.

Run as a program: one line of JSON, see `tests.benchmarks.line`. `pip install fer` to have it.
Its faces per frame may differ from everybody else's: then it has a figure and no ratio.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings

from tests.benchmarks.line import Stopwatch


def is_installed() -> bool:
    """Whether there is a package `fer`; nothing is imported."""
    return importlib.util.find_spec("fer") is not None


def main(clip: str) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    import cv2
    import numpy as np
    from fer.fer import FER

    detector = FER()
    detector.detect_emotions(np.zeros((480, 640, 3), np.uint8))
    capture = cv2.VideoCapture(clip)
    watch = Stopwatch()
    while True:
        ok, image = capture.read()
        if not ok:
            break
        watch.frames += 1
        watch.faces += len(detector.detect_emotions(image))
    watch.report(engine="fer")


if __name__ == "__main__":
    main(sys.argv[1])
