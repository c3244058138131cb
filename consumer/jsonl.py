"""Records and signals as JSON lines: one object a line, named as on the wire."""

from __future__ import annotations

import json
from typing import TextIO

from consumer.sinks.sink import Unhurried
from contract.event import Record
from contract.smoothed import Signal


class JsonLines(Unhurried):
    """A `Sink`. It writes at once, so that a program behind a pipe sees each line as it comes."""

    def __init__(self, stream: TextIO, name: str = "standard output") -> None:
        self.name = name
        self._stream = stream

    def write(self, message: Record | Signal, now_s: float = 0.0) -> None:
        """Raises `BrokenPipeError` when nobody reads any more."""
        self._stream.write(json.dumps(message.to_dict(), ensure_ascii=False) + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.flush()
