"""A collector of OpenTelemetry's traces: OTLP over HTTP, each span kept as it was sent."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


@dataclass(frozen=True, slots=True)
class Seen:
    """A span; times are nanoseconds since the epoch, ids are hexadecimal, `parent` "" for a root.
    `links` are the ids of the spans it links to."""

    service: str
    trace: str
    id: str
    parent: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    is_error: bool
    links: tuple[str, ...]
    attributes: dict[str, str | int] = field(hash=False)


class OtlpReceiver:
    """Listens on a free port of this machine; a context manager. `status` is what it answers."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.requests = 0
        self._spans: list[Seen] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests += 1
                if receiver.status == 200 and self.path == "/v1/traces":
                    receiver._spans += spans_of(ExportTraceServiceRequest.FromString(body))
                self.send_response(receiver.status)
                self.end_headers()
                self.wfile.write(ExportTraceServiceResponse().SerializeToString())

            def log_message(self, *_arguments: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def environment(self) -> dict[str, str]:
        """What sends a role's traces here, all of them."""
        return {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            "OTEL_TRACES_SAMPLER": "parentbased_always_on",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }

    def spans(self) -> list[Seen]:
        """All so far."""
        return list(self._spans)

    def traces(self) -> dict[str, list[Seen]]:
        """The spans by trace, in order of their start."""
        traces: dict[str, list[Seen]] = {}
        for span in sorted(self.spans(), key=lambda span: span.start_ns):
            traces.setdefault(span.trace, []).append(span)
        return traces

    def __enter__(self) -> OtlpReceiver:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def spans_of(request: ExportTraceServiceRequest) -> list[Seen]:
    return [
        Seen(
            service=str(_attributes(group.resource.attributes)["service.name"]),
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            name=span.name,
            kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
            start_ns=span.start_time_unix_nano,
            end_ns=span.end_time_unix_nano,
            is_error=span.status.code == Status.STATUS_CODE_ERROR,
            links=tuple(link.span_id.hex() for link in span.links),
            attributes=_attributes(span.attributes),
        )
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _attributes(pairs: object) -> dict[str, str | int]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value"))
        for pair in pairs  # type: ignore[attr-defined]
    }
