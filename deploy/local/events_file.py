"""``--events``: every event in a file, one JSON object a line, as `contract.event` names things."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import TracebackType

from consumer.partial import PartialFile
from contract.event import EmotionEvent


class EventsFile:
    """A `PartialFile` of events; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0

    def __enter__(self) -> EventsFile:
        self._file = PartialFile(self.path)
        return self

    def write(self, event: EmotionEvent) -> None:
        """Add one line."""
        self._file.stream.write(json.dumps(event.to_dict(), ensure_ascii=False) + "\n")
        self.count += 1

    def flush(self) -> None:
        """What was written so far can be read, and survives us."""
        self._file.stream.flush()

    def finish(self) -> None:
        """It is complete: give it its name."""
        self._file.finish()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._file.is_open:
            return
        if self.count:
            self._file.leave()
            print(f"the {self.count} events so far are in {self._file.partial}", file=sys.stderr)
        else:
            self._file.discard()
