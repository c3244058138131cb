"""All of the live view, wired."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

from consumer.chain import Chain, ChainOptions
from consumer.view.app import make_app
from consumer.view.board import Board
from consumer.view.feed import follow
from consumer.view.guard import Guard, is_loopback
from consumer.view.health import ask
from consumer.view.hub import Hub
from consumer.view.server import PageServer, listen, reachable_host
from consumer.view.tap import tap
from consumer.view.token import check_token
from contract.connect import check_url
from contract.errors import UsageError
from contract.keys import DEFAULT_PREFIX
from contract.redact import redacted

_JOIN_S = 1.0


class LiveView:
    """Serves the page while in its `with` block.

    redis_url    of the system to watch; it need not be there yet
    prefix       of the system's keys
    host, port   where to serve; port 0 = a free one
    fps          pictures of each source a second, at most
    token        who does not have it sees nothing; made up if None and `host` is not this machine
                 alone
    chain        how records become signals

    `url` is where a browser on this machine finds it, without the token; `address` is with it.

    Raises `UsageError` for arguments that cannot be used, a port in use among them.
    """

    def __init__(
        self,
        redis_url: str,
        *,
        prefix: str = DEFAULT_PREFIX,
        host: str = "127.0.0.1",
        port: int = 8080,
        fps: float = 4.0,
        token: str | None = None,
        chain: ChainOptions | None = None,
    ) -> None:
        check_url(redis_url)
        local = is_loopback(host)
        if token is None and not local:
            token = secrets.token_urlsafe(24)
        if token is not None:
            try:
                check_token(token)
            except ValueError as error:
                raise UsageError(f"--token: {error}") from None
        self._token = token
        self._stop = threading.Event()
        self._failure: Exception | None = None
        options = chain or ChainOptions()
        hub = Hub(Board(redacted(redis_url), options.smooth.coordinates))
        self._threads = [
            self._thread(
                "events", lambda: follow(redis_url, prefix, lambda: Chain(options), hub, self._stop)
            ),
            self._thread("frames", lambda: tap(redis_url, prefix, fps, hub, self._stop)),
            self._thread("status", lambda: ask(redis_url, prefix, hub, self._stop)),
        ]
        listener = listen(host, port)
        self.port: int = listener.getsockname()[1]
        self.url = f"http://{reachable_host(host)}:{self.port}/"
        app = Guard(
            make_app(hub), token=self._token, local=local, cookie=f"emotion_view_{self.port}"
        )
        self._server = PageServer(app, listener, hub.closing)
        self._stack = ExitStack()

    @property
    def address(self) -> str:
        """The URL that lets a browser in."""
        return self.url if self._token is None else f"{self.url}?token={self._token}"

    def check(self) -> None:
        """Raises what a thread died of; it is a bug."""
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> LiveView:
        self._stack.enter_context(self._server)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The pages first: a person waits for them. A thread that hangs on a Redis that does not
        # answer holds nothing that could be lost.
        self._stop.set()
        self._stack.close()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except Exception as error:
                self._failure = error

        return threading.Thread(target=run, name=name, daemon=True)
