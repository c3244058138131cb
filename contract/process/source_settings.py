"""The settings of the roles that read video: which sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import CliPositionalArg

from contract.process.faults import Conflict
from contract.process.secret_file import FileOf

Sources = Annotated[
    CliPositionalArg[list[str]],
    Field(
        repr=False,  # it can hold a camera's password
        description="video file, folder of files, camera number (0, 1, …), rtsp:// or http(s):// "
        "URL; as many as you like",
    ),
]

SourceFile = Annotated[
    Path | None,
    FileOf("source"),
    Field(
        description="read the sources from this file, one a line: other users of the machine see "
        "a command line, and the passwords in it",
    ),
]


def missing_sources(sources: Sequence[str]) -> Iterator[Conflict]:
    """One when there are none. Not argparse's to say: it knows no environment."""
    if not sources:
        yield Conflict(
            ("source", "source_file"),
            "no source: expected a video file, a folder, a camera number or a URL, or a "
            "--source-file with several",
            "SOURCE=rtsp://camera/stream",
        )
