"""Lengths of time as people write them: ``200ms``, ``0.4s``, ``2m``, ``1h``, ``1:30``, ``90``."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_WITH_UNIT = re.compile(r"(\d+(?:\.\d*)?|\.\d+) ?(ms|s|m|h|)")
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):([0-5]\d(?:\.\d*)?)")  # [hours:]minutes:seconds
_EXPECTED = "expected a time such as 200ms, 1.5s, 90, 1:30, 5m or 1h"


def parse_seconds(value: Any) -> float:
    """Seconds of a text or a number. Raises `ValueError` that says what is expected."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    elif isinstance(value, str):
        seconds = _of_text(value.strip())
    else:
        raise ValueError(_EXPECTED)
    if not math.isfinite(seconds):
        raise ValueError(_EXPECTED)
    return seconds


def format_seconds(seconds: float) -> str:
    """For people: 4.2 s, 1:30, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _of_text(text: str) -> float:
    if match := _WITH_UNIT.fullmatch(text):
        return float(match[1]) * _UNITS_S[match[2]]
    if match := _CLOCK.fullmatch(text):
        return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3])
    raise ValueError(_EXPECTED)


# A field of settings; bounds go beside it: ``Annotated[Seconds, Field(gt=0)]`` or ``Field(gt=0)``.
Seconds = Annotated[float, BeforeValidator(parse_seconds)]
