"""What a benchmark is doing, on stderr: the tables go to stdout alone."""

from __future__ import annotations

import sys
import time

_began_s = time.monotonic()


def say(text: str) -> None:
    """One line with the minutes and seconds since the start."""
    minutes, seconds = divmod(int(time.monotonic() - _began_s), 60)
    print(f"{minutes:3d}:{seconds:02d}  {text}", file=sys.stderr, flush=True)
