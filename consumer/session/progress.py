"""How a recording goes on, for whoever looks at the terminal."""

from __future__ import annotations

import time
from types import TracebackType

from rich.live import Live
from rich.text import Text

from contract.console import LastingConsole, data_size

_EVERY_S = 0.25


class RecordProgress:
    """One line on stderr, drawn over and over, and gone at the end; nothing if stderr is no
    terminal. A context manager. Counts what it is told.
    """

    def __init__(self) -> None:
        self.events = 0
        self.sources: set[str] = set()
        self._live: Live | None = None
        self._shown_s = 0.0

    def __enter__(self) -> RecordProgress:
        console = LastingConsole(stderr=True)
        if console.is_terminal:
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def is_due(self) -> bool:
        """Whether anybody looks, and the line is old enough to be drawn again."""
        return self._live is not None and time.monotonic() - self._shown_s >= _EVERY_S

    def show(self, at_s: float, size_bytes: int) -> None:
        """Draw it again."""
        if self._live is not None:
            self._shown_s = time.monotonic()
            line = f"recording {self.summary(at_s, size_bytes)}; Ctrl-C ends it"
            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)

    def summary(self, at_s: float, size_bytes: int) -> str:
        """For example ``1,234 events of 2 sources in 1:30, 96.3 KiB``."""
        events = "1 event" if self.events == 1 else f"{self.events:,} events"
        sources = "1 source" if len(self.sources) == 1 else f"{len(self.sources):,} sources"
        return f"{events} of {sources} in {clock(at_s)}, {data_size(size_bytes)}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()


def clock(seconds: float) -> str:
    """A length of time as players show it: 4.2 s, 1:30, 1:02:03."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
