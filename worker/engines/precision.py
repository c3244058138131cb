"""What a network may be calculated in."""

from __future__ import annotations

from typing import Literal

Precision = Literal["auto", "float32", "bfloat16", "int8"]
