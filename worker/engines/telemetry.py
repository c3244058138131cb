"""Keeps OpenVINO from calling its maker's server."""

from __future__ import annotations

import sys
from typing import Any


def refuse_telemetry() -> None:
    """Call before OpenVINO is first imported, or it reports every conversion of a model.

    It asks nobody and does so until someone opts out; without that package it uses a stub.
    """
    modules: dict[str, Any] = sys.modules  # None in it makes an import fail
    modules.setdefault("openvino_telemetry", None)
