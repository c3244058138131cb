"""Events as JSON lines: one object a line, named as on the wire."""

from __future__ import annotations

import json
from typing import TextIO

from contract.event import Record


class JsonLines:
    """Writes each record as soon as it comes, so that a program behind a pipe sees it at once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, record: Record) -> None:
        """Raises `BrokenPipeError` when nobody reads any more."""
        self._stream.write(json.dumps(record.to_dict(), ensure_ascii=False) + "\n")
        self._stream.flush()
