"""OpenTelemetry's environment variables, as far as they are ours to read."""

from __future__ import annotations

import pytest

from contract.errors import UsageError
from contract.process.trace_settings import TraceSettings, read_trace_settings


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": ""},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_TRACES_SAMPLER": "of others"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "TRUE"},
    ],
)
def test_it_is_off_unless_an_exporter_is_named(environment: dict[str, str]) -> None:
    assert read_trace_settings(environment) is None


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({}, TraceSettings("parentbased_traceidratio", 0.01)),
        ({"OTEL_TRACES_SAMPLER_ARG": "0.5"}, TraceSettings("parentbased_traceidratio", 0.5)),
        ({"OTEL_TRACES_SAMPLER": "always_on"}, TraceSettings("always_on", 0.01)),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, TraceSettings()),
    ],
)
def test_what_is_sampled(environment: dict[str, str], settings: TraceSettings) -> None:
    assert read_trace_settings({"OTEL_TRACES_EXPORTER": "otlp", **environment}) == settings


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("OTEL_TRACES_EXPORTER", "jaeger", "expected otlp or none, got jaeger"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "expected http/protobuf, got grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc", "expected http/protobuf, got grpc"),
        ("OTEL_TRACES_SAMPLER", "some", "expected always_on or always_off or traceidratio or"),
        ("OTEL_TRACES_SAMPLER_ARG", "2", "expected a number from 0 to 1, got 2"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan", "expected a number from 0 to 1, got nan"),
        ("OTEL_TRACES_SAMPLER_ARG", "1%", "expected a number from 0 to 1, got 1%"),
    ],
)
def test_what_cannot_be_used_is_named(name: str, value: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"^{name}: {text}"):
        read_trace_settings({"OTEL_TRACES_EXPORTER": "otlp", name: value})


def test_all_that_is_wrong_is_said_at_once() -> None:
    environment = {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_TRACES_SAMPLER_ARG": "5",
    }
    with pytest.raises(UsageError, match=r"PROTOCOL: expected[^\n]*\n.*SAMPLER_ARG: expected"):
        read_trace_settings(environment)
