"""What a model was made with, for its manifest."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_OTHERS = ("numpy", "emotion-stream")


def versions() -> dict[str, str]:
    """Of Keras, its backend, numpy, Python and this package, as far as they are installed: a
    machine that is lent for training may hold only a copy of this one.

    Imports Keras: only the loaded Keras knows its backend.
    """
    import keras

    backend = keras.config.backend()
    found = {"python": platform.python_version(), "keras": keras.__version__, "backend": backend}
    for package in (backend, *_OTHERS):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
