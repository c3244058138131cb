"""What `--engine` and `--precision` can be."""

from __future__ import annotations

from typing import Literal

EngineName = Literal["auto", "keras", "openvino"]
Precision = Literal["auto", "float32", "bfloat16", "int8"]
