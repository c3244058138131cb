"""`emotion-view`: settings in, objects wired, exit code out."""

from __future__ import annotations

import sys
import threading
import webbrowser
from collections.abc import Sequence

import structlog

from consumer.view.live import LiveView
from consumer.view.settings import ViewSettings
from contract.connect import check, connect
from contract.errors import BrokerUnavailable
from contract.process.command import run_command
from contract.process.stop import stop_on_signals

_log = structlog.get_logger()

_LOOK_EVERY_S = 0.5  # after the threads


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return run_command(ViewSettings, "emotion-view", _serve, arguments)


def _serve(settings: ViewSettings) -> int:
    stop = stop_on_signals()
    view = LiveView(
        settings.redis,
        prefix=settings.prefix,
        host=settings.host,
        port=settings.port,
        fps=settings.fps,
        token=settings.token,
        chain=settings.chain_options(),
    )
    _look_for_redis(settings.redis)
    with view:
        # Logs leave out what follows a question mark, which here is for the user to have.
        print(view.address, flush=True)
        _log.info("ready", url=view.url)
        if settings.open:
            # A browser in the terminal would keep us waiting.
            threading.Thread(
                target=webbrowser.open, args=(view.address,), name="browser", daemon=True
            ).start()
        while not stop.wait(_LOOK_EVERY_S):
            view.check()
    return 0


def _look_for_redis(url: str) -> None:
    """One that is not there is shown on the page, and waited for; a wrong password ends us."""
    try:
        client = connect(url, retries=0)
        try:
            check(client, url)
        finally:
            client.close()
    except BrokerUnavailable as error:
        _log.warning("waiting for redis", error=str(error))
