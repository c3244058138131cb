"""The flags and environment of `emotion-worker partitions`: the only place that reads them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from contract.partitions import MAX_PARTITIONS
from contract.process.settings import RoleSettings


class PartitionsSettings(RoleSettings):
    """Show the partitions of a system, or change their number while it runs.

    Each source that belongs elsewhere then moves by itself, with a new session, as soon as nothing
    is left of it in its old partition. Nothing is lost and nothing stops; readers get the old
    session first. Workers and readers serve the old partitions as well as the new ones from then
    on. All roles look for the number once a second.

    A role of a version without this command never looks: upgrade all of them first.

    Examples:
      emotion-worker partitions
      emotion-worker partitions 4
      emotion-worker partitions 4 --no-wait
    """

    number: CliPositionalArg[int | None] = Field(
        None, ge=1, le=MAX_PARTITIONS, description="how many there shall be from now on"
    )
    wait: bool = Field(True, description="wait until all sources have moved")
    timeout: float = Field(
        300.0, gt=0, allow_inf_nan=False, description="how many seconds to wait for that"
    )
    format: Literal["table", "json"] = Field(
        "table", description="a table for people, or one JSON object for programs"
    )
