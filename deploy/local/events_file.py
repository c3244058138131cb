"""``--events``: every event in a file, one JSON object a line, as `contract.event` names things."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from pathlib import Path
from types import TracebackType

from contract.event import EmotionEvent


class EventsFile:
    """Written as ``NAME.partial`` and renamed by `finish`; a context manager.

    A run that fails leaves an earlier `path` as it was and its own events in the ``.partial`` file:
    they may be hours of somebody's work. So the next run writes to ``NAME.partial-2``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._target = path.resolve()  # a link's target is replaced, not the link

    def __enter__(self) -> EventsFile:
        for number in itertools.count(1):
            ending = ".partial" if number == 1 else f".partial-{number}"
            self._partial = self._target.with_name(self._target.name + ending)
            with contextlib.suppress(FileExistsError):
                self._stream = self._partial.open("x", encoding="utf-8", newline="\n")
                break
        return self

    def write(self, event: EmotionEvent) -> None:
        """Add one line."""
        self._stream.write(json.dumps(event.to_dict(), ensure_ascii=False) + "\n")
        self.count += 1

    def flush(self) -> None:
        """What was written so far can be read, and survives us."""
        self._stream.flush()

    def finish(self) -> None:
        """It is complete: give it its name."""
        self._stream.close()
        self._partial.replace(self._target)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._stream.closed:
            return
        self._stream.close()
        if self.count:
            print(f"the {self.count} events so far are in {self._partial}", file=sys.stderr)
        else:
            self._partial.unlink()
