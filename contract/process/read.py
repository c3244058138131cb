"""A command's settings read, or everything that is wrong with them at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, CliApp

from contract.errors import UsageError
from contract.process.faults import describe, field_of
from contract.process.sources import Flags
from contract.process.variables import of_services, unknown_variables, variable

S = TypeVar("S", bound=BaseSettings)


def read(cls: type[S], program: str, arguments: list[str]) -> S:
    """See `contract.process.settings.read_settings`."""
    flags = Flags(cls, program)
    settings: S | None = None
    faults: list[str] = []
    try:
        settings = CliApp.run(cls, cli_args=arguments, cli_settings_source=flags)
    except ValidationError as error:
        found = error.errors(include_url=False)
        faults += _lines([*found, *_conflicts(found, cls, program, arguments)], cls, flags)
    except UsageError as error:  # of the command line: nobody has looked at the environment yet
        faults += [str(error), *_faults_beside(cls, program, arguments)]
    own = [field.alias or name for name, field in cls.model_fields.items()]
    faults += unknown_variables(os.environ, own)
    if settings is None or faults:
        # Without a cause: that one would show passwords.
        raise UsageError(_listed(faults)) from None
    return settings


def _listed(faults: Sequence[str]) -> str:
    if len(faults) == 1:
        return faults[0]
    return "\n  ".join((f"{len(faults)} settings cannot be used:", *faults))


def _lines(faults: Sequence[ErrorDetails], cls: type[S], flags: Flags[S]) -> list[str]:
    variables = {name.upper() for name in os.environ}
    injected = {name.upper() for names in of_services(os.environ).values() for name in names}
    lines = []
    for fault in faults:
        name = variable(_key(fault))
        as_flag = _key(fault) in flags.given or name not in variables
        if as_flag or name not in injected:  # those have a line of their own
            lines.append(describe(fault, cls.model_fields, as_flag=as_flag))
    return lines


def _conflicts(
    faults: Sequence[ErrorDetails], cls: type[S], program: str, arguments: list[str]
) -> list[ErrorDetails]:
    """Those of the settings without `faults`. Pydantic looks at several together only when each is
    right by itself; so the wrong ones give way to their defaults."""
    faulty = {_key(fault) for fault in faults}
    if "" in faulty:  # it has looked
        return []
    fields = [field_of(key, cls.model_fields) for key in faulty]
    if any(field.is_required() for _, field in fields):
        return []
    defaults = {
        field.alias or name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in fields
    }
    flags = Flags(cls, program, without=faulty)
    try:
        CliApp.run(cls, cli_args=arguments, cli_settings_source=flags, **defaults)
    except ValidationError as error:
        # One in which a default takes part is none of the user's.
        return [
            fault
            for fault in error.errors(include_url=False)
            if faulty.isdisjoint(fault.get("ctx", {}).get("names", faulty))
        ]
    return []


def _faults_beside(cls: type[S], program: str, arguments: list[str]) -> list[str]:
    """Those of settings by themselves, where the command line as a whole makes no sense: without
    its unknown flags, or else of the environment alone."""
    readable: tuple[list[str] | dict[str, Any], ...] = (arguments, {})
    for given in readable:
        flags = Flags(cls, program, ignore_unknown=True)
        try:
            CliApp.run(cls, cli_args=given, cli_settings_source=flags)
        except UsageError:
            continue
        except ValidationError as error:
            found = error.errors(include_url=False)
            alone = [fault for fault in found if fault["loc"] and fault["type"] != "missing"]
            return _lines(alone, cls, flags)
        break
    return []


def _key(fault: ErrorDetails) -> str:
    """What flags and variables call the faulty setting; "" for several together."""
    return str(fault["loc"][0]) if fault["loc"] else ""
