"""Spans and how they leave the process: the one file that imports OpenTelemetry.

Nothing here waits for a collector. Spans go into a bounded queue which a thread of the SDK empties;
when it is full, the newest push out the oldest.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from contract.errors import UsageError
from contract.process.trace_settings import TraceSettings
from contract.redact import without_secrets

FLUSH_S = 5.0  # what is left at the end has so long; an orchestrator gives a role 30 s and more

Operation = Literal["send", "process", "settle"]
Attributes = Mapping[str, str | int]

_NOTHING: Attributes = MappingProxyType({})
_KINDS = MappingProxyType(
    {
        "send": trace.SpanKind.PRODUCER,
        "process": trace.SpanKind.CONSUMER,
        "settle": trace.SpanKind.CLIENT,
    }
)
_ROOTS = MappingProxyType({"always_on": sampling.ALWAYS_ON, "always_off": sampling.ALWAYS_OFF})
_TRACEPARENT = "traceparent"
_w3c = TraceContextTextMapPropagator()
_log = structlog.get_logger()


class Span:
    """A piece of a sampled frame's way, in this process or, joined by its header, in another.

    Times are nanoseconds since the epoch. Methods may be called from any thread.
    """

    __slots__ = ("_span", "_stream", "_tracer")

    def __init__(self, tracer: trace.Tracer, stream: str, span: trace.Span) -> None:
        self._tracer = tracer
        self._stream = stream
        self._span = span

    @property
    def header(self) -> bytes:
        """W3C traceparent of this span, for whoever continues the trace."""
        carrier: dict[str, str] = {}
        _w3c.inject(carrier, trace.set_span_in_context(self._span))
        return carrier[_TRACEPARENT].encode()

    def step(
        self, name: str, start_ns: int, end_ns: int, attributes: Attributes | None = None
    ) -> None:
        """A piece of this one that is over already."""
        self._child(name, start_ns, attributes, trace.SpanKind.INTERNAL).end(end_ns)

    def operation(self, name: Operation, start_ns: int, attributes: Attributes = _NOTHING) -> Span:
        """A piece that does this with the frame's message; to be ended. It is called and described
        as OpenTelemetry's conventions for messaging have it."""
        described: Attributes = {
            "messaging.system": "redis",
            "messaging.operation.name": name,
            "messaging.operation.type": name,
            "messaging.destination.template": self._stream,
            **attributes,
        }
        # A consumer links to its producer, also where that is its parent.
        links = [trace.Link(self._span.get_span_context())] if name == "process" else None
        span = self._child(f"{name} {self._stream}", start_ns, described, _KINDS[name], links)
        return Span(self._tracer, self._stream, span)

    def end(
        self, end_ns: int, attributes: Attributes = _NOTHING, *, error: str | None = None
    ) -> None:
        """It is over and can be sent. `error` says what went wrong, if anything."""
        self._span.set_attributes(attributes)
        if error is not None:
            self._span.set_status(trace.StatusCode.ERROR, without_secrets(error))
        self._span.end(end_ns)

    def _child(
        self,
        name: str,
        start_ns: int,
        attributes: Attributes | None,
        kind: trace.SpanKind,
        links: Sequence[trace.Link] | None = None,
    ) -> trace.Span:
        parent = trace.set_span_in_context(self._span)
        return self._tracer.start_span(name, parent, kind, attributes, links, start_ns)


class Tracer:
    """Makes spans and sends them over OTLP (HTTP, protobuf), to where the environment says.

    program   the name of the service, unless the environment has another
    stream    what the stream of frames is called in spans

    Raises `UsageError` for what the SDK does not take from the environment.
    """

    def __init__(self, program: str, stream: str, settings: TraceSettings) -> None:
        self._stream = stream
        self._troubles = _Troubles()
        try:
            self._provider = TracerProvider(
                _sampler(settings), _resource(program), shutdown_on_exit=False
            )
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        except ValueError as error:
            self._troubles.close()
            raise UsageError(f"OTEL_*: {error}") from error
        self._tracer = self._provider.get_tracer("emotion-stream")

    def begin(self, name: str, start_ns: int, attributes: Attributes) -> Span | None:
        """The first span of a trace; None for one that is not sampled."""
        span = self._tracer.start_span(name, Context(), attributes=attributes, start_time=start_ns)
        return self._sampled(span)

    def join(self, header: bytes) -> Span | None:
        """The span of another process by its W3C traceparent; None for garbage, and for a trace
        that is not sampled."""
        carrier = {_TRACEPARENT: header.decode("ascii", "replace")}
        return self._sampled(trace.get_current_span(_w3c.extract(carrier, Context())))

    def _sampled(self, span: trace.Span) -> Span | None:
        known = span.get_span_context()
        if not (known.is_valid and known.trace_flags.sampled):
            return None
        return Span(self._tracer, self._stream, span)

    def close(self) -> None:
        """Send what is left, for `FLUSH_S` at most."""
        # The SDK's own time-outs are longer than a role may take to stop.
        closing = threading.Thread(target=self._provider.shutdown, name="last traces", daemon=True)
        closing.start()
        closing.join(FLUSH_S)
        self._troubles.close()


def _sampler(settings: TraceSettings) -> sampling.Sampler:
    name = settings.sampler.removeprefix("parentbased_")
    root = _ROOTS.get(name) or sampling.TraceIdRatioBased(settings.ratio)
    return root if name == settings.sampler else sampling.ParentBased(root)


def _resource(program: str) -> Resource:
    # A command line can hold a camera's password.
    attributes = {
        name: value
        for name, value in Resource.create().attributes.items()
        if not name.startswith("process.command")
    }
    if str(attributes[SERVICE_NAME]).startswith("unknown_service"):
        attributes[SERVICE_NAME] = program
    return Resource(attributes)


class _Troubles(logging.Handler):
    """Turns what OpenTelemetry logs into one line in all: a collector that is away is nothing to
    fill a log with."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._cause = ""
        self._is_said = False
        self._logger = logging.getLogger("opentelemetry")
        self._logger.addHandler(self)
        self._logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR:
            if record.name.startswith("opentelemetry.exporter"):  # why it tries again
                self._cause = record.getMessage()
        elif not self._is_said:
            self._is_said = True
            _log.warning(
                "traces get lost, which is not said again",
                error=record.getMessage(),
                cause=self._cause,
            )

    def close(self) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = True
        super().close()
