"""Waiting through an outage: repeat a call until it gets an answer, but not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from contract.connect import REFUSED
from contract.errors import BrokerError, BrokerUnavailable
from producer.pulse import Pulse

T = TypeVar("T")

_RETRY_S = 0.2

_log = structlog.get_logger()


class OutageGuard:
    """Calls to Redis on behalf of one source; they must be safe to repeat.

    is_passing   whether an error of redis-py is one that waiting may cure
    on_outage    called once at the start of each outage
    timeout_s    how long one may last
    """

    def __init__(
        self,
        source_id: str,
        pulse: Pulse,
        *,
        is_passing: Callable[[Exception], bool],
        on_outage: Callable[[], None],
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source_id
        self._pulse = pulse
        self._is_passing = is_passing
        self._on_outage = on_outage
        self._timeout_s = timeout_s
        self._clock = clock

    def ask(self, command: Callable[[], T]) -> T | None:
        """The reply, through an outage if need be; None when asked to stop meanwhile.

        A call that begins after the request to stop is the last one. Raises `BrokerUnavailable`
        for an outage over `timeout_s`, `BrokerError` for an error that is not passing.
        """
        started_s = self._clock()
        failures = 0
        while True:
            is_last = self._pulse.is_stopping
            self._pulse.beat()
            try:
                reply = command()
            except REFUSED as error:
                if not self._is_passing(error):
                    raise BrokerError(f"{self._source}: Redis refused: {error}") from error
                failures += 1
                if failures == 1:
                    self._on_outage()
                    _log.warning("redis outage, waiting", source=self._source, error=str(error))
                waited_s = self._clock() - started_s
                if waited_s >= self._timeout_s:
                    raise BrokerUnavailable(
                        f"{self._source}: no Redis for {waited_s:.0f} s: {error}"
                    ) from error
                if is_last:
                    return None
                if failures > 1:  # a single dropped connection needs no pause
                    self._pulse.wait(_RETRY_S)
                continue
            if failures:
                waited_s = self._clock() - started_s
                _log.info("redis is back", source=self._source, outage_s=round(waited_s, 1))
            return reply
