"""Convert the shipped networks for OpenVINO, into a folder that workers find by `--cache`.

    python deploy/images/convert.py FOLDER

With it an image needs no TensorFlow, on CPUs without int8 either. Needs TensorFlow itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

from worker.classifier import classifier_source
from worker.engines.openvino import OpenVinoEngine
from worker.faces.detector import detector_source


def main(folder: Path) -> None:
    engine = OpenVinoEngine("float32", threads=1, cache=folder)
    _, classifier = classifier_source()
    for source in (detector_source(), classifier):
        engine.compile(source, buckets=[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
