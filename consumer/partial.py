"""A file that gets its name when it is complete."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import TextIO


class PartialFile:
    """A text file written as ``NAME.partial`` and renamed by `finish`.

    A run that fails leaves an earlier `path` as it was, and its own work in the ``.partial`` file:
    it may be hours of somebody's. So the next run writes to ``NAME.partial-2``. Raises `OSError`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._target = path.resolve()  # a link's target is replaced, not the link
        for number in itertools.count(1):
            ending = ".partial" if number == 1 else f".partial-{number}"
            self.partial = self._target.with_name(self._target.name + ending)
            with contextlib.suppress(FileExistsError):
                self.stream: TextIO = self.partial.open("x", encoding="utf-8", newline="\n")
                break

    @property
    def is_empty(self) -> bool:
        """Whether nothing of it is on the disk; after `leave`."""
        try:
            return self.partial.stat().st_size == 0
        except FileNotFoundError:
            return True

    @property
    def is_open(self) -> bool:
        return not self.stream.closed

    def finish(self) -> None:
        """It is complete: give it its name."""
        self.stream.close()
        self.partial.replace(self._target)

    def leave(self) -> None:
        """Keep what there is as ``.partial``."""
        with contextlib.suppress(OSError):  # a full disk, of which the last `write` told
            self.stream.close()

    def discard(self) -> None:
        """Nothing is worth keeping."""
        self.leave()
        self.partial.unlink(missing_ok=True)
