"""Whether a network's int8 form can be offered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from contract.errors import ArtifactError


def offered(find: Callable[[], Path | None], *, required: bool) -> Path | None:
    """What `find` finds; a form that is damaged or of other weights is left out with a warning.

    required   int8 was asked for: then its `ArtifactError` is raised
    """
    try:
        return find()
    except ArtifactError as error:
        if required:
            raise
        structlog.get_logger().warning("int8 left out", reason=str(error))
        return None
