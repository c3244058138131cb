"""Durations and rates as people write them on a command line."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_DURATION = re.compile(r"([0-9.]+) *(ms|s|m|min|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_RATE = re.compile(r"([0-9.]+) *(hz)?", re.IGNORECASE)


def parse_duration(value: Any) -> float:
    """Seconds of 0.4, ``0.4s``, ``400ms``, ``5m`` or ``1h``; `ValueError` says what is expected."""
    match = _DURATION.fullmatch(str(value).strip())
    number = _number(match and match[1])
    if match is None or number is None:
        raise ValueError("expected seconds, as in 0.4, 0.4s, 400ms or 5m")
    return number * _SECONDS[match[2] or ""]


def parse_rate(value: Any) -> float:
    """Hertz of 10 or ``10Hz``; `ValueError` says what is expected."""
    match = _RATE.fullmatch(str(value).strip())
    number = _number(match and match[1])
    if number is None:
        raise ValueError("expected a rate, as in 10 or 10Hz")
    return number


def _number(text: Any) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(ge=0.0, le=86_400.0)]
Hertz = Annotated[float, BeforeValidator(parse_rate), Field(ge=0.0, le=1000.0)]
