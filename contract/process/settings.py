"""The flags and environment variables every role shares, and how a command line is read.

Order: flag > environment > default. Each role's `settings.py` adds its own fields; nothing else
reads the environment or the command line.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_origin

from pydantic import Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from contract import wire
from contract.errors import UsageError
from contract.keys import DEFAULT_PREFIX
from contract.partitions import MAX_PARTITIONS
from contract.process.secret_file import FileOf, with_files_read
from contract.redact import without_secrets

ENV_PREFIX = "EMOTION_"
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
        return init_settings, _Environment(settings_cls)

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

    `--help` prints and ends the process; anything that cannot be used raises `UsageError` with one
    line per fault, naming the flag or the variable.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    source = _Flags[S](
        cls,
        cli_prog_name=program,
        root_parser=None,
        formatter_class=_HelpFormatter,
    )
    try:
        return CliApp.run(cls, cli_args=arguments, cli_settings_source=source)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        raise UsageError("\n".join(_fault(fault) for fault in faults)) from error
    except SettingsError as error:  # pydantic's own text names neither flag nor variable
        raise UsageError(str(error.__cause__ or error)) from error


def _fault(fault: ErrorDetails) -> str:
    """One line about one fault; no password is in it."""
    message = without_secrets(fault["msg"].removeprefix("Value error, "))
    if not fault["loc"]:  # of several flags together: its input is all of them
        return message
    flag = _flag(".".join(str(part) for part in fault["loc"]))
    if fault["loc"][0] == "redis":
        return f"{flag}: {message}"
    return f"{flag}: {message}, got {without_secrets(repr(fault.get('input')))}"


class _Flags(CliSettingsSource[S]):
    """The command line, with files in place of secrets."""

    def __call__(self, **arguments: Any) -> Any:
        result: Any = super().__call__(**arguments)
        if not isinstance(result, dict):  # it was given a command line to parse
            return result
        return with_files_read(result, self.settings_cls.model_fields, _flag)


class _Environment(EnvSettingsSource):
    """Lists in the environment are comma-separated text; one that begins with [ is JSON."""

    def __call__(self) -> dict[str, Any]:
        return with_files_read(super().__call__(), self.settings_cls.model_fields, _variable)

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        plain = get_origin(field.annotation) is list and not value.lstrip().startswith("[")
        if plain:
            return [item.strip() for item in value.split(",") if item.strip()]
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError as error:
            variable = _variable(field.alias or field_name)
            raise ValueError(f"{variable}: expected JSON or comma-separated text") from error


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _variable(name: str) -> str:
    return ENV_PREFIX + name.upper()


def usable_cores() -> int:
    """The cores this process may use; fewer than the machine's under taskset or in a container."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help in plain words: a docstring's own line breaks, no type names, no empty defaults."""

    _METAVARS: ClassVar = {
        "str": "TEXT",
        "int": "N",
        "float": "NUMBER",
        "list[str]": "TEXT",
        "list[Path]": "PATH",
        "Path": "PATH",
    }

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return super()._fill_text(inspect.cleandoc(text), width, indent)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        help_text = action.help or ""
        for empty in (" (default: None)", " (default: [])", " (default: null)"):
            help_text = help_text.replace(empty, "")
        return re.sub(r" \(default factory: .*\)", "", help_text)  # the text itself says what

    def _metavar_formatter(
        self, action: argparse.Action, default_metavar: str
    ) -> Callable[[int], tuple[str, ...]]:
        if action.dest == "redis":
            action.metavar = "URL"
        elif isinstance(action.metavar, str):
            one_of = re.sub(r"^list\[(\{.*\})\]$", r"\1", action.metavar)
            action.metavar = self._METAVARS.get(one_of, one_of)
        return super()._metavar_formatter(action, default_metavar)
