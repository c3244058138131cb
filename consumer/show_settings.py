"""The flags of what appears on standard output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from consumer.play_settings import PlaySettings
from contract.process.faults import Conflict
from contract.process.settings import ProcessSettings


class ShowSettings(PlaySettings):
    """Flags of the commands that show records, live or recorded."""

    format: Literal["table", "jsonl", "csv"] = Field(
        "table",
        description="of standard output: a table for people, one JSON object a line for programs, "
        "or comma-separated values (with --smoothed)",
    )
    smoothed: bool = Field(
        False,
        description="show what --osc and the like send: people instead of faces, steady, and who "
        "comes, goes or changes",
    )
    records: bool = Field(
        False,
        description="jsonl: also a line when a source starts, ends or goes offline "
        '(kind "source"); tables and --smoothed always show these',
    )
    count: int | None = Field(None, ge=1, description="end after so many events")

    @property
    def plays(self) -> bool:
        """Whether faces are made people at all: to be shown, or sent somewhere."""
        return self.smoothed or self.has_sinks

    @property
    def without_effect(self) -> list[str]:
        """The flags that were given and change nothing, because nobody asked for people."""
        if self.plays:
            return []
        fields = PlaySettings.model_fields.keys() - ProcessSettings.model_fields.keys()
        return sorted("--" + name.replace("_", "-") for name in fields & self.model_fields_set)

    def conflicts(self) -> Iterator[Conflict]:
        if self.format == "csv" and not self.smoothed:
            yield Conflict(
                ("format", "smoothed"),
                "--format csv: a row is a person, so it needs --smoothed",
                "SMOOTHED=true",
            )
