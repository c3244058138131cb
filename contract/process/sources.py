"""Where settings come from: the command line and the environment, with files in place of secrets.

A value that cannot be read is an `Unusable` in its place, so that the other faults are seen too.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Any, TypeVar, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, CliSettingsSource, EnvSettingsSource, SettingsError

from contract.errors import UsageError
from contract.process.faults import Unusable, flag
from contract.process.help import HelpFormatter
from contract.process.secret_file import with_files_read
from contract.process.variables import variable

S = TypeVar("S", bound=BaseSettings)
_ERROR = "error parsing CLI: "
_UNKNOWN = "unrecognized arguments: "
_HELP = " (--help says which there are)"


class Flags(CliSettingsSource[S]):
    """The command line but for the settings `without`; `given` are the settings on it."""

    def __init__(
        self,
        settings_cls: type[S],
        program: str,
        *,
        without: Collection[str] = (),
        ignore_unknown: bool = False,
    ) -> None:
        super().__init__(
            settings_cls,
            cli_prog_name=program,
            cli_exit_on_error=False,
            cli_ignore_unknown_args=ignore_unknown,
            root_parser=None,
            formatter_class=HelpFormatter,
        )
        self._without = without
        self.given: frozenset[str] = frozenset()

    def __call__(self, **arguments: Any) -> Any:
        """Raises `UsageError` for a command line that cannot be taken apart."""
        try:
            result: Any = super().__call__(**arguments)
        except SettingsError as error:
            raise UsageError(self._explained(str(error).removeprefix(_ERROR))) from None
        if not isinstance(result, dict):  # it was given a command line to parse
            return result
        self.given = frozenset(result)
        read = with_files_read(result, self.settings_cls.model_fields, _flag)
        return {key: value for key, value in read.items() if key not in self._without}

    def _explained(self, message: str) -> str:
        """argparse's own words, with the flag that was probably meant."""
        if not message.startswith(_UNKNOWN):
            return f"{message} (--help says more)"
        first, _, rest = message.removeprefix(_UNKNOWN).partition(" ")
        word = first.partition("=")[0]
        if not word.startswith("-"):
            return f"{first}{' ' if rest else ''}{rest}: no such argument or command{_HELP}"
        fields = self.settings_cls.model_fields
        flags = [flag(field.alias or name, field) for name, field in fields.items()]
        close = difflib.get_close_matches(word, flags, n=1)
        return f"{word}: no such flag{f', did you mean {close[0]}?' if close else _HELP}"


class Environment(EnvSettingsSource):
    """Lists in the environment are comma-separated text; one that begins with [ is JSON."""

    def __call__(self) -> dict[str, Any]:
        return with_files_read(super().__call__(), self.settings_cls.model_fields, variable)

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        plain = get_origin(field.annotation) is list and not value.lstrip().startswith("[")
        if plain:
            return [item.strip() for item in value.split(",") if item.strip()]
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            name = field.alias or field_name
            return Unusable(name, variable(name), "expected JSON or comma-separated text")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
