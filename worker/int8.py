"""Whether a network's int8 form can be offered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from contract.errors import ArtifactError


def offered(find: Callable[[], Path | None]) -> Path | None:
    """What `find` finds; a form that is damaged or of other weights is left out with a warning: the
    network itself is whole."""
    try:
        return find()
    except ArtifactError as error:
        structlog.get_logger().warning("int8 left out", reason=str(error))
        return None
