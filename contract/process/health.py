"""/metrics, /livez and /readyz over HTTP, for Prometheus and for probes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, disable_created_metrics, make_wsgi_app

from contract.errors import UsageError


class Health:
    """What the probes ask: is the main loop alive, and is the process ready for work?

    Alive means the loop called `beat()` within `max_silence_s` seconds (monotonic clock). Ready
    means `ready()` was called and `not_ready()` was not since.
    """

    def __init__(
        self, *, max_silence_s: float = 90.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_silence_s = max_silence_s
        self._clock = clock
        self._last_beat_s = clock()
        self._ready = threading.Event()

    def beat(self) -> None:
        self._last_beat_s = self._clock()

    def ready(self) -> None:
        self._ready.set()

    def not_ready(self) -> None:
        self._ready.clear()

    @property
    def is_alive(self) -> bool:
        return self._clock() - self._last_beat_s <= self._max_silence_s

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set() and self.is_alive


class HealthServer:
    """Serves a registry and a `Health` in a daemon thread; a context manager.

    Raises `UsageError` when the port is taken. `port` is the one in use, also when 0 was asked for.
    """

    def __init__(
        self, registry: CollectorRegistry, health: Health, *, host: str, port: int
    ) -> None:
        # When each counter was born, a series more per counter, and nobody asks for it.
        disable_created_metrics()
        self._metrics = make_wsgi_app(registry)
        self._health = health
        try:
            self._server = make_server(host, port, self._answer, _Server, _QuietHandler)
        except OSError as error:
            raise UsageError(f"--metrics-port {port}: {error.strerror} on {host}") from error
        self.port: int = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="health", daemon=True
        )

    def __enter__(self) -> HealthServer:
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

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            body: Iterable[bytes] = self._metrics(environ, start_response)
            return body
        probes = {"/livez": self._health.is_alive, "/readyz": self._health.is_ready}
        if path not in probes:
            return _plain(start_response, "404 Not Found", "try /metrics, /livez or /readyz\n")
        if probes[path]:
            return _plain(start_response, "200 OK", "ok\n")
        return _plain(start_response, "503 Service Unavailable", "not yet\n")


def _plain(start_response: Any, status: str, text: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode()]


class _Server(ThreadingMixIn, WSGIServer):
    """A slow scraper must not hold up a probe."""

    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    """Probes come every few seconds; a log line each would drown the log."""

    timeout = 10  # seconds; a client that connects and says nothing does not stay for ever

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class)
        pass
