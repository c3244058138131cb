"""What may run the networks: an engine and a precision, as `emotion-up` and `emotion-worker` take
them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variant:
    """`engine` and `precision` as the flags of these names."""

    engine: str = "auto"
    precision: str = "auto"

    @classmethod
    def parse(cls, text: str) -> Variant:
        """``keras``, ``openvino-int8``, ``auto``."""
        engine, _, precision = text.partition("-")
        return cls(engine, precision or "auto")

    @property
    def name(self) -> str:
        return self.engine if self.precision == "auto" else f"{self.engine}-{self.precision}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The same as the two flags, for whatever reads them."""
        return {"EMOTION_ENGINE": self.engine, "EMOTION_PRECISION": self.precision}


# Float32 stands in for bfloat16 on a machine without it.
CANDIDATES = ("keras", "openvino-bfloat16", "openvino-float32", "openvino-int8")
STANDS_IN = {"openvino-float32": "openvino-bfloat16"}
