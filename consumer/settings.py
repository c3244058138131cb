"""The flags and environment of `emotion-events`: the only place that reads them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from consumer.progress import parse_start
from consumer.show_settings import ShowSettings
from consumer.units import Seconds
from contract.process.settings import RedisTimeout, RoleSettings


class EventsSettings(ShowSettings, RoleSettings):
    """Watch the emotions of a running system, or pass them on: as lines, OSC, MIDI, CSV.

    Examples:
      emotion-events                                      faces from now on, as a table
      emotion-events --smoothed                           people, steady, and the mood of the room
      emotion-events --osc 127.0.0.1:9000                 the same to Max, Pure Data, SuperCollider
      emotion-events --osc 127.0.0.1:9000 --smoothing 1s --dwell 2s --rate 20Hz
      emotion-events --midi take.mid --csv take.csv
      emotion-events --format jsonl --source lobby | jq .faces
      emotion-events --from beginning --format jsonl --idle 1 > seen.jsonl
      emotion-events --group recorder --format jsonl      goes on where it stopped
      emotion-events status                               sources, backlog, workers, dead letters
                                                          (emotion-events status --help)
      emotion-events record FILE, emotion-events replay FILE   a session, kept and played again

    A Redis that is not there at the start ends it at once with exit code 1. One that still loads
    its data, or goes away later, is waited for, up to --redis-timeout.

    Every flag can be set in the environment: --from is EMOTION_FROM.
    """

    # Without "all", a field with an alias would be read from the variable FROM.
    model_config = SettingsConfigDict(env_prefix_target="all")

    from_: str = Field(
        "now",
        alias="from",
        description="where to begin: now, beginning (all events that are still there) or the id of "
        "the stream entry to begin after; a --group that exists goes on where it stopped",
    )
    source: list[str] = Field(
        [], description="only this source; give it several times for several sources"
    )
    group: str | None = Field(
        None,
        min_length=1,
        description="share the events with all who give the same name, and remember what was read",
    )
    idle: Seconds | None = Field(None, gt=0, description="end after so long without an event")
    redis_timeout: RedisTimeout = 60.0

    @field_validator("from_")
    @classmethod
    def _from(cls, value: str) -> str:
        parse_start(value)
        return value


class StatusSettings(RoleSettings):
    """Say how a system is doing: sources, backlog, workers, dead letters, and whether every frame
    is accounted for.

    Examples:
      emotion-events status
      emotion-events status --redis redis://10.0.0.5:6379 --prefix studio
      emotion-events status --format json | jq .backlog
    """

    format: Literal["table", "json"] = Field(
        "table", description="for people, or one JSON object for programs"
    )
