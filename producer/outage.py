"""Calls to Redis that are repeated until they get an answer, but not past a request to stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from contract.connect import REFUSED
from contract.outage import Outage
from producer.heartbeat import Heartbeat

T = TypeVar("T")


class OutageGuard:
    """Calls to Redis on behalf of one source; they must be safe to repeat.

    who          what log lines and errors begin with
    on_outage    called once at the start of each outage
    timeout_s    how long one may last
    """

    def __init__(
        self,
        who: str,
        heartbeat: Heartbeat,
        *,
        on_outage: Callable[[], None],
        timeout_s: float,
    ) -> None:
        self._outage = Outage(who, timeout_s)
        self._heartbeat = heartbeat
        self._on_outage = on_outage

    def ask(self, command: Callable[[], T]) -> T | None:
        """The reply, through an outage if need be; None when asked to stop meanwhile.

        A call that begins after the request to stop is the last one. Raises `BrokerUnavailable`
        for an outage over `timeout_s`, `BrokerError` for an error that waiting does not cure.
        """
        while True:
            is_last = self._heartbeat.is_stopping
            self._heartbeat.beat()
            try:
                reply = command()
            except REFUSED as error:
                is_first = not self._outage.is_on
                pause_s = self._outage.failed(error)
                if is_first:
                    self._on_outage()
                if is_last:
                    return None
                self._heartbeat.wait(pause_s)
            else:
                self._outage.over()
                return reply
