"""What is printed for people, and a reader of it that has had enough."""

from __future__ import annotations

import os
from typing import IO

import rich.console


class Console(rich.console.Console):
    """Raises `BrokenPipeError` where rich would end the process with code 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class LastingConsole(rich.console.Console):
    """Falls silent when nobody reads any more: the work goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        discard(self.file)


def discard(stream: IO[str]) -> None:
    """Drop all that is written to `stream` from here on. Python flushes stdout once more on its way
    out, and would complain about the pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def data_size(size_bytes: int) -> str:
    """A number of bytes as people say it: 812 bytes, 20.4 KiB, 8.0 MiB."""
    if size_bytes < 1024:
        return f"{size_bytes} bytes"
    if size_bytes < 2**20:
        return f"{size_bytes / 1024:.1f} KiB"
    return f"{size_bytes / 2**20:,.1f} MiB"
