"""The web server: uvicorn in a thread, on a socket of our own."""

from __future__ import annotations

import errno
import socket
import threading
import time
from types import TracebackType

import uvicorn
from starlette.types import ASGIApp

from contract.errors import UsageError

_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 3.0
_GRACE_S = 1  # for a picture on its way; the streams have been told to end
# Bounds how far a browser that does not read can be behind: the kernel's buffers grow to megabytes.
_SEND_BUFFER_BYTES = 64 * 1024


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `UsageError` naming the flag when there can be none."""
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise UsageError(f"--host {host}: {error.strerror}") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise UsageError(f"--host {host}: not an address of this machine") from error
        raise UsageError(f"--port {port}: {error.strerror} on {host}") from error
    return listener


def reachable_host(host: str) -> str:
    """What to type in a browser for a server that listens on `host`."""
    if host not in ("", "0.0.0.0", "::"):
        return f"[{host}]" if ":" in host else host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; an address nobody has (RFC 5737)
        except OSError:
            return socket.gethostname()
        address: str = probe.getsockname()[0]
        return address


class PageServer:
    """Serves `app` on `listener` in a thread; a context manager. `closing` is set first thing at
    the end, for streams that would not end by themselves."""

    def __init__(self, app: ASGIApp, listener: socket.socket, closing: threading.Event) -> None:
        self._listener = listener
        self._closing = closing
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="web server", daemon=True
        )

    def __enter__(self) -> PageServer:
        self._thread.start()
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline_s:
                raise RuntimeError("the web server did not start")
            time.sleep(0.005)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._server.should_exit = True
        self._thread.join(_STOP_TIMEOUT_S)
        self._listener.close()
