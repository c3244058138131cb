"""What is wrong with settings: in one line each, with both names of the setting and an example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import CliPositionalArg

from contract.process.variables import ENV_PREFIX, SETTINGS, variable
from contract.redact import without_secrets

_POSITIONAL = get_args(CliPositionalArg[str])[1]
_OUT_OF_BOUNDS = ("greater_than", "greater_than_equal", "less_than", "less_than_equal")
_NO_NUMBER = (
    *("int_type", "int_parsing", "int_parsing_size", "int_from_float"),
    *("float_type", "float_parsing", "finite_number"),
)


@dataclass(frozen=True, slots=True)
class Unusable:
    """Stands for a value that could not even be read, until all settings have been looked at.

    name      field of the setting that says where it is
    place     what the user calls that, and a file
    message   why not; nothing of what is in the file
    """

    name: str
    place: str
    message: str

    def fault(self) -> PydanticCustomError:
        """As a validator raises it."""
        context = {"message": self.message, "name": self.name, "place": self.place}
        return PydanticCustomError("unusable", "{message}", context)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Settings that are right each by itself and wrong together.

    names      of their fields
    message    what was expected; calls them by their flags
    example    NAME=VALUE that would be right, NAME a variable's without its prefix
    """

    names: tuple[str, ...]
    message: str
    example: str

    def fault(self) -> PydanticCustomError:
        """As a validator raises it."""
        context = {"message": self.message, "names": self.names, "example": self.example}
        return PydanticCustomError("conflict", "{message}", context)


def describe(fault: ErrorDetails, fields: Mapping[str, FieldInfo], *, as_flag: bool) -> str:
    """The line about one fault; no password is in it.

    fields    of the settings
    as_flag   the setting was given as a flag, not as a variable: the line begins with that
    """
    context: Mapping[str, Any] = fault.get("ctx", {})
    message = without_secrets(fault["msg"].removeprefix("Value error, "))
    if not fault["loc"]:
        if fault["type"] != "conflict":
            return message
        names = " and ".join(variable(name) for name in context["names"])
        return f"{message} ({names}); for example {ENV_PREFIX}{context['example']}"
    key = str(fault["loc"][0])
    if fault["type"] == "unusable":
        key, place = context["name"], str(context["place"])
        return f"{place}: {message}{_examples(key, fields, as_flag=not _is_variable(place))}"
    _, field = field_of(key, fields)
    place = flag(key, field) if as_flag else variable(key)
    if fault["type"] != "value_error":
        message = f"expected {_expected(fault, field)}"
    if fault["type"] == "missing":
        message += ", got none"
    elif field.repr and not _tells(message, fault["input"]):  # the others can hold a secret
        message += f", got {without_secrets(repr(fault['input']))}"
    return f"{place}: {message}{_examples(key, fields, as_flag=as_flag)}"


def _tells(message: str, given: Any) -> bool:
    """Whether it holds already what was given, or an item of that."""
    items = given if isinstance(given, list) else [given]
    return any(str(item) and message.startswith(str(item)) for item in items)


def field_of(key: str, fields: Mapping[str, FieldInfo]) -> tuple[str, FieldInfo]:
    """The field that is called `key` by flags and variables, and its name: `from_` has an alias."""
    for name, field in fields.items():
        if key in (field.alias, name):
            return name, field
    raise KeyError(key)


def flag(key: str, field: FieldInfo) -> str:
    """What a setting is called on the command line."""
    return key.upper() if _is_positional(field) else "--" + key.replace("_", "-")


def example_of(key: str, field: FieldInfo) -> str | None:
    """A good value of a setting, as it is written in the environment; None if nobody has said."""
    if field.examples:
        return str(field.examples[0])
    for kind in _kinds(field.annotation):
        if get_origin(kind) is Literal:
            return str(get_args(kind)[0])
        if kind is bool:
            return "true"
    return SETTINGS.get(key.upper())


def _examples(key: str, fields: Mapping[str, FieldInfo], *, as_flag: bool) -> str:
    _, field = field_of(key, fields)
    value = example_of(key, field)
    if value is None:
        return f" ({variable(key) if as_flag else flag(key, field)})"
    if not field.repr:  # a secret, which is better off the command line
        return f"; for example {variable(key)}={value} ({flag(key, field)})"
    kinds = list(_kinds(field.annotation))
    first = value.partition(",")[0] if any(get_origin(kind) is list for kind in kinds) else value
    shown = flag(key, field) if bool in kinds else f"{flag(key, field)} {first}"
    forms = [first if _is_positional(field) else shown, f"{variable(key)}={value}"]
    return f"; for example {' or '.join(forms if as_flag else reversed(forms))}"


def _expected(fault: ErrorDetails, field: FieldInfo) -> str:
    context: Mapping[str, Any] = fault.get("ctx", {})
    kind = fault["type"]
    if kind in (*_OUT_OF_BOUNDS, *_NO_NUMBER):
        whole = any(of is int for of in _kinds(field.annotation))
        return f"a {'whole ' if whole else ''}number{_bounds(field)}"
    if kind == "literal_error":
        return str(context["expected"])
    if kind.startswith("bool"):
        return "true or false"
    if kind == "missing":
        return "a value"
    if kind in ("string_too_short", "too_short"):
        what = "characters" if kind == "string_too_short" else "values"
        return f"at least {context['min_length']} {what}"
    return fault["msg"][:1].lower() + fault["msg"][1:]


def _bounds(field: FieldInfo) -> str:
    """Of a number, as words after it."""
    bounds: dict[str, Any] = {}
    for mark in _marks(field):
        bounds |= {
            name: value
            for name in ("ge", "gt", "le", "lt")
            if (value := getattr(mark, name, None)) is not None
        }
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    said = [f"{words[name]} {value:,}" for name, value in bounds.items()]
    return f", {' and '.join(said)}" if said else ""


def _marks(field: FieldInfo) -> Iterator[Any]:
    """What a field's type is marked with, also within a union with None."""
    yield from field.metadata
    for argument in get_args(field.annotation):
        for mark in getattr(argument, "__metadata__", ()):
            yield from mark.metadata if isinstance(mark, FieldInfo) else (mark,)


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types that a value may have, without None and marks; a list's own comes before its
    items'."""
    arguments = get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        yield from _kinds(arguments[0])
    elif get_origin(annotation) in (list, Literal) or not arguments:
        yield annotation
    else:
        for argument in arguments:
            yield from _kinds(argument)


def _is_positional(field: FieldInfo) -> bool:
    return _POSITIONAL in field.metadata


def _is_variable(place: str) -> bool:
    return place.upper().startswith(ENV_PREFIX)
