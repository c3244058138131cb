"""The flags and environment of `emotion-worker dead`: the only place that reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import CliPositionalArg

from contract.process.faults import Conflict
from contract.process.settings import RoleSettings
from worker.dead.letters import check_name

_SPAN = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smhd])")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class ListSettings(RoleSettings):
    """Show the frames that were given up, newest last: id, when, which frame, reason, how often it
    was tried alone, size.

    Examples:
      emotion-worker dead list
      emotion-worker dead list --reason image --source lobby
      emotion-worker dead list --format json | jq -r .reason | sort | uniq -c
    """

    format: Literal["table", "json"] = Field(
        "table", description="a table for people, or one JSON object a line for programs"
    )
    reason: str | None = Field(None, description="only letters with this reason")
    source: str | None = Field(None, description="only frames of this source")
    limit: int | None = Field(None, ge=1, description="only the newest so many")


class ShowSettings(RoleSettings):
    """Say everything about one dead letter, and save what it holds.

    Examples:
      emotion-worker dead show 1767225600000-0
      emotion-worker dead show 1767225600000-0 --image face.jpg
      emotion-worker dead show 1767225600000-0 --save frame.msgpack
    """

    id: CliPositionalArg[str] = Field(description="id of the letter, as `list` shows it")
    save: Path | None = Field(None, description="write the original bytes to this file")
    image: Path | None = Field(None, description="write the picture in them to this file, a JPEG")

    @field_validator("id")
    @classmethod
    def _id(cls, value: str) -> str:
        return check_name(value)


class _ChoiceSettings(RoleSettings):
    """Which letters: some by their ids, or all that match."""

    id: CliPositionalArg[list[str]] = Field([], description="ids of letters, as `list` shows them")
    all: bool = Field(False, description="all letters instead of those named by id")
    reason: str | None = Field(None, description="of --all only those with this reason")

    @field_validator("id")
    @classmethod
    def _ids(cls, value: list[str]) -> list[str]:
        return [check_name(name) for name in value]

    def conflicts(self) -> Iterator[Conflict]:
        if bool(self.id) == self.all:
            yield Conflict(("id", "all"), "expected ids of dead letters, or --all", "ALL=true")
        elif not self.all and (narrowing := self._narrowing):
            flag = "--" + narrowing.replace("_", "-")
            message = f"{flag} narrows --all, expected no ids with it"
            yield Conflict((narrowing, "all"), message, "ALL=true")

    @property
    def _narrowing(self) -> str | None:
        """The field of a setting that picks some of all letters."""
        return "reason" if self.reason is not None else None


class RequeueSettings(_ChoiceSettings):
    """Put dead letters back into the frames stream, to be analysed as if they came for the first
    time, however old they are. For when the cause is gone: a worker was fixed or got more memory.

    Each goes back once, whoever else asks for it at the same time. It is counted as published once
    more, and as requeued.

    Examples:
      emotion-worker dead requeue 1767225600000-0 1767225600000-1
      emotion-worker dead requeue --all --reason attempts
    """


class DropSettings(_ChoiceSettings):
    """Throw dead letters away for good. On a terminal --all asks first.

    Examples:
      emotion-worker dead drop 1767225600000-0
      emotion-worker dead drop --all --older-than 2d
      emotion-worker dead drop --all --reason malformed --yes
    """

    older_than: str | None = Field(
        None, description="of --all only those older than this: 90s, 30m, 12h or 7d"
    )
    yes: bool = Field(False, description="do not ask")

    @field_validator("older_than")
    @classmethod
    def _older_than(cls, value: str | None) -> str | None:
        if value is not None and not _SPAN.fullmatch(value):
            raise ValueError("expected a number and s, m, h or d, such as 7d")
        return value

    @property
    def older_than_s(self) -> float | None:
        """Seconds; None for any age."""
        match = _SPAN.fullmatch(self.older_than) if self.older_than is not None else None
        return float(match[1]) * _UNITS_S[match[2]] if match else None

    @property
    def _narrowing(self) -> str | None:
        return "older_than" if self.older_than is not None else super()._narrowing
