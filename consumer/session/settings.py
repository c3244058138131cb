"""The flags and environment of `emotion-events record` and `replay`."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import CliPositionalArg, SettingsConfigDict

from consumer.progress import parse_start
from consumer.show_settings import ShowSettings
from consumer.units import Seconds, parse_duration
from contract.process.settings import RedisTimeout, RoleSettings


def _speed(value: Any) -> float:
    """Infinite for "max"."""
    if value == "max":
        return math.inf
    try:
        speed = float(value)
    except (TypeError, ValueError):
        speed = math.nan
    if not 0.01 <= speed <= 1000:
        raise ValueError("expected a number from 0.01 to 1000, or max")
    return speed


_CLOCK = re.compile(r"(?:(\d+):)?(\d+):([0-5]\d(?:\.\d*)?)")  # [hours:]minutes:seconds


def _position(value: Any) -> float:
    """Seconds of 1:30, 1:02:03, or of what `parse_duration` takes."""
    if match := _CLOCK.fullmatch(str(value).strip()):
        return int(match[1] or 0) * 3600 + int(match[2]) * 60 + float(match[3])
    try:
        return parse_duration(value)
    except ValueError:
        raise ValueError("expected a time such as 1:30, 90, 90s or 1.5m") from None


class RecordSettings(RoleSettings):
    """Record the events of a running system with the times they came, to be played again exactly.

    Examples:
      emotion-events record concert.jsonl.gz              until Ctrl-C
      emotion-events record rehearsal.jsonl --for 5m --source stage
      emotion-events replay concert.jsonl.gz              plays it

    JSON lines, compressed if the name ends in .gz. It is called NAME.partial until it is complete;
    should the machine die, that file can be played too.

    Every flag can be set in the environment: --for is EMOTION_FOR.
    """

    # Without "all", a field with an alias would be read from the variable FROM.
    model_config = SettingsConfigDict(env_prefix_target="all")

    file: CliPositionalArg[Path] = Field(description="the session to write")
    from_: str = Field(
        "now",
        alias="from",
        description="where to begin: now, beginning (all events that are still there, at once) or "
        "the id of the stream entry to begin after",
    )
    source: list[str] = Field(
        [], description="only this source; give it several times for several sources"
    )
    for_: Seconds | None = Field(
        None, alias="for", gt=0, description="end after so long, for example 90s or 5m"
    )
    count: int | None = Field(None, ge=1, description="end after so many events")
    idle: Seconds | None = Field(None, gt=0, description="end after so long without an event")
    force: bool = Field(False, description="replace a file that exists, once this one is complete")
    redis_timeout: RedisTimeout = 60.0

    @field_validator("from_")
    @classmethod
    def _from(cls, value: str) -> str:
        parse_start(value)
        return value


class ReplaySettings(ShowSettings, RoleSettings):
    """Play a recorded session: the same events at the same times, within milliseconds. Redis is
    only needed with --publish.

    Examples:
      emotion-events replay concert.jsonl.gz
      emotion-events replay concert.jsonl.gz --from 1:30 --speed 2
      emotion-events replay concert.jsonl.gz --osc 127.0.0.1:9000
      emotion-events replay concert.jsonl.gz --speed max --format jsonl > events.jsonl
      emotion-events replay concert.jsonl.gz --speed max --smoothed --format csv > people.csv

    The events are as they were recorded, capture times included, whatever the speed. --now moves
    all times so that the recording begins now. With --loop each round is a new session of each
    source (SESSION+2, ...) whose times go on after those of the round before.
    """

    model_config = SettingsConfigDict(env_prefix_target="all")

    file: CliPositionalArg[Path] = Field(description="made by emotion-events record")
    speed: Annotated[float, BeforeValidator(_speed)] = Field(
        1.0, description="2 = twice as fast, 0.5 = half as fast, max = as fast as possible"
    )
    from_: Annotated[float, BeforeValidator(_position)] = Field(
        0.0,
        alias="from",
        examples=["1:30"],
        description="where in the recording to begin, for example 1:30",
    )
    loop: bool = Field(False, description="play it again and again, until stopped")
    now: bool = Field(False, description="move all times to now, as if it happened again")
    source: list[str] = Field(
        [], description="only this source; give it several times for several sources"
    )
