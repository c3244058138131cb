"""The thread that follows the events, through the chain, into the hub."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from consumer.reader import EventReader
from consumer.turns import Signals, turns
from consumer.view.hub import Hub
from contract.errors import EmotionStreamError

_log = structlog.get_logger()

_LONGEST_WAIT_S = 0.5
RETRY_S = 1.0


def follow(
    url: str, prefix: str, chain: Callable[[], Signals], hub: Hub, stop: threading.Event
) -> None:
    """Until `stop` is set. A Redis that is not there, goes away or refuses is waited for, and shown
    on the page meanwhile."""
    told = ""
    while not stop.is_set():
        try:
            _follow(url, prefix, chain(), hub, stop)
        except EmotionStreamError as error:
            hub.see_trouble(str(error))
            if told != str(error):
                _log.warning("no events", error=str(error))
                told = str(error)
            stop.wait(RETRY_S)


def _follow(url: str, prefix: str, chain: Signals, hub: Hub, stop: threading.Event) -> None:
    with EventReader(
        url,
        start="now",
        prefix=prefix,
        redis_timeout_s=None,
        stop=stop,
    ) as reader:
        for turn in turns(reader, chain, _LONGEST_WAIT_S):
            hub.take(turn.signals)
