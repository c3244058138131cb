"""The flags and environment variables every role shares, and how a command line is read.

Order: flag > environment > default. Each role's `settings.py` adds its own fields; nothing else
reads the environment or the command line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from contract import wire
from contract.artifact import find_artifact
from contract.errors import ArtifactError, UsageError
from contract.keys import DEFAULT_PREFIX
from contract.partitions import MAX_PARTITIONS
from contract.process.faults import Conflict, Unusable
from contract.process.read import read
from contract.process.secret_file import FileOf
from contract.process.sources import Environment
from contract.process.variables import ENV_PREFIX

S = TypeVar("S", bound=BaseSettings)

# The same for every role that outlives an outage; bounded, because nothing may wait for ever.
RedisTimeout = Annotated[
    float,
    Field(
        gt=0,
        le=86_400,
        allow_inf_nan=False,
        description="seconds to wait for a lost Redis before giving up",
    ),
]

# For the roles that may decide it; the first of them does.
Partitions = Annotated[
    int | None,
    Field(
        ge=1,
        le=MAX_PARTITIONS,
        description="how many streams share the frames of a new system, each source in one of "
        "them; decided by the role that starts first, by default 1",
    ),
]


def _verified(path: Path | None) -> Path | None:
    if path is not None:
        try:
            find_artifact(path)
        except ArtifactError as error:
            raise ValueError(str(error)) from None
    return path


# A wrong path is said with the other faults, and not after TensorFlow's start.
Model = Annotated[Path | None, AfterValidator(_verified)]


class ProcessSettings(BaseSettings):
    """Settings every command has."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
        frozen=True,
        extra="ignore",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, Environment(settings_cls)

    @field_validator("*", mode="before")
    @classmethod
    def _usable(cls, value: Any) -> Any:
        if isinstance(value, Unusable):
            raise value.fault()
        return value

    @model_validator(mode="after")
    def _together(self) -> Self:
        faults = [
            InitErrorDetails(type=conflict.fault(), loc=(), input=None)
            for conflict in self.conflicts()
        ]
        if faults:
            raise ValidationError.from_exception_data(type(self).__name__, faults)
        return self

    def conflicts(self) -> Iterator[Conflict]:
        """What is wrong with several settings together."""
        yield from ()

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe log line that is printed"
    )
    log_format: Literal["auto", "pretty", "json"] = Field(
        "auto", description="auto: pretty on a terminal, JSON lines otherwise"
    )


class RoleSettings(ProcessSettings):
    """Settings of the roles, which all reach the same server."""

    redis: str = Field(
        "redis://127.0.0.1:6379",
        repr=False,  # it can hold a password
        description="URL of Redis or Valkey: redis://, rediss:// (TLS) or unix://, or of a "
        "cluster: redis+cluster://HOST:PORT,HOST:PORT; with a password better in EMOTION_REDIS "
        "or --redis-file than on the command line",
    )
    redis_file: Annotated[Path | None, FileOf("redis")] = Field(
        None, description="read that URL from this file, such as a mounted secret"
    )
    prefix: str = Field(
        DEFAULT_PREFIX,
        description="what all keys start with; two systems with different prefixes share a server",
    )

    @field_validator("prefix")
    @classmethod
    def _prefix(cls, value: str) -> str:
        if "{" in value or "}" in value:
            raise ValueError("expected no braces: they mark the partition")
        return wire.name(value)

    @field_validator("redis")
    @classmethod
    def _redis(cls, value: str) -> str:
        from contract.connect import check_url  # the trainer needs no redis

        try:
            check_url(value)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return value


class ServiceSettings(RoleSettings):
    """Settings of the roles that run for long and are watched."""

    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="serve /metrics, /livez and /readyz on this port; 0 = a free one, logged; "
        "off by default",
    )
    metrics_host: str = Field(
        "127.0.0.1", description="address to serve them on; 0.0.0.0 = every interface"
    )


def read_settings(cls: type[S], program: str, argv: Sequence[str] | None = None) -> S:
    """The role's settings from `argv` (default: the process's) and the environment.

    `--help` prints and ends the process. Whatever cannot be used, unknown `EMOTION_*` variables
    among it, is in the `UsageError` that is raised, a line each.
    """
    return read(cls, program, list(sys.argv[1:] if argv is None else argv))


def usable_cores() -> int:
    """The cores this process may use; fewer than the machine's under taskset or in a container."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
