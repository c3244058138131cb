"""Signals as JSON lines."""

from __future__ import annotations

import json
from typing import TextIO

from consumer.sinks.sink import Unhurried
from contract.smoothed import Signal


class SignalLines(Unhurried):
    """One JSON object a line, named as on the wire; each is written at once."""

    def __init__(self, stream: TextIO, name: str = "json lines") -> None:
        self.name = name
        self._stream = stream

    def write(self, signal: Signal, now_s: float) -> None:
        """Raises `BrokenPipeError` when nobody reads any more."""
        self._stream.write(json.dumps(signal.to_dict(), ensure_ascii=False) + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()
