"""The thread that follows the events, through the chain, into the hub."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from consumer.reader import EventReader
from consumer.view.hub import Hub
from contract.errors import EmotionStreamError
from contract.event import Record
from contract.smoothed import Signal

_log = structlog.get_logger()

_LOOK_UP_S = 0.05  # how long to wait for a record before asking the chain what is due
RETRY_S = 1.0


class SignalChain(Protocol):
    """`consumer.chain.Chain`, as far as it is needed here."""

    def put(self, record: Record, now_s: float) -> list[Signal]: ...
    def due(self, now_s: float) -> list[Signal]: ...


def follow(
    url: str, prefix: str, chain: Callable[[], SignalChain], hub: Hub, stop: threading.Event
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


def _follow(url: str, prefix: str, chain: SignalChain, hub: Hub, stop: threading.Event) -> None:
    with EventReader(
        url,
        start="now",
        prefix=prefix,
        idle_s=_LOOK_UP_S,
        redis_timeout_s=None,
        stop=stop,
    ) as reader:
        while not stop.is_set():
            record = reader.next_record()
            now_s = time.monotonic()
            hub.take(chain.due(now_s) if record is None else chain.put(record, now_s))
