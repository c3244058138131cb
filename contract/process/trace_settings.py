"""Whether frames are traced, and which: OpenTelemetry's own environment variables.

Its SDK reads the others by itself (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_SERVICE_NAME`, ...).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from contract.errors import UsageError

# A trace has a dozen spans: at 30 frames/s that is four a second of each camera.
DEFAULT_SAMPLER = "parentbased_traceidratio"
DEFAULT_RATIO = 0.01

_SAMPLERS = (
    "always_on", "always_off", "traceidratio",
    "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
)  # fmt: skip
_PROTOCOL = "http/protobuf"


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """How traces are sampled: by the sampler of this name, which takes `ratio` of them (0..1)."""

    sampler: str = DEFAULT_SAMPLER
    ratio: float = DEFAULT_RATIO


def read_trace_settings(environment: Mapping[str, str] = os.environ) -> TraceSettings | None:
    """None unless `OTEL_TRACES_EXPORTER` names an exporter.

    Raises `UsageError` for what this system or OpenTelemetry does not know; of variables that only
    matter with an exporter nothing is said without one, for they may be meant for others.
    """

    def value(name: str, default: str = "") -> str:
        return environment.get(name, "").strip() or default  # OpenTelemetry: empty is not set

    exporter = value("OTEL_TRACES_EXPORTER", "none")
    if exporter == "none" or value("OTEL_SDK_DISABLED").lower() == "true":
        return None
    protocols = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    known = {
        "OTEL_TRACES_EXPORTER": ("otlp", ("otlp", "none")),
        **dict.fromkeys(protocols, (_PROTOCOL, (_PROTOCOL,))),
        "OTEL_TRACES_SAMPLER": (DEFAULT_SAMPLER, _SAMPLERS),
    }
    faults = [
        f"{name}: expected {' or '.join(values)}, got {value(name)}"
        for name, (default, values) in known.items()
        if value(name, default) not in values
    ]
    argument = value("OTEL_TRACES_SAMPLER_ARG", str(DEFAULT_RATIO))
    try:
        ratio = float(argument)
    except ValueError:
        ratio = -1.0
    if not 0.0 <= ratio <= 1.0:
        faults.append(f"OTEL_TRACES_SAMPLER_ARG: expected a number from 0 to 1, got {argument}")
    if faults:
        raise UsageError("\n  ".join(faults))
    return TraceSettings(value("OTEL_TRACES_SAMPLER", DEFAULT_SAMPLER), ratio)
