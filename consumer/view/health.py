"""The thread that asks how the system is doing, while somebody looks."""

from __future__ import annotations

import threading
import time

from consumer.status import read_status
from consumer.view.hub import Hub
from contract.connect import connect, explained
from contract.errors import EmotionStreamError

EVERY_S = 1.0
_LOOK_UP_S = 0.2


def ask(url: str, prefix: str, hub: Hub, stop: threading.Event) -> None:
    """Until `stop` is set: sources, backlog and workers, once a second."""
    while not stop.is_set():
        if not hub.watched.wait(_LOOK_UP_S):
            continue
        began_s = time.monotonic()
        try:
            client = connect(url, retries=0)
            try:
                with explained(url):
                    while hub.watched.is_set() and not stop.is_set():
                        hub.see_status(read_status(client, prefix))
                        stop.wait(EVERY_S)
            finally:
                client.close()
        except EmotionStreamError as error:
            hub.see_trouble(str(error))
            stop.wait(max(0.0, EVERY_S - (time.monotonic() - began_s)))
