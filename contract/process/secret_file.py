"""Settings that can hold a secret, read from files as Docker and Kubernetes mount them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_origin

from pydantic.fields import FieldInfo

from contract.process.faults import Unusable

MAX_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class FileOf:
    """Marks a setting as the path of a file that holds another one, the field `name`.

    A text is the file's one line, a list its lines. Empty lines, those that begin with # and white
    space around a line do not count.
    """

    name: str


def with_files_read(
    values: Mapping[str, Any], fields: Mapping[str, FieldInfo], called: Callable[[str], str]
) -> dict[str, Any]:
    """`values` of one place (all flags, say), with what their files hold instead of the files.

    `called` is how the user calls a field there. A file that cannot be used leaves an `Unusable`
    behind, which shows nothing of what is in it.
    """
    read = dict(values)
    for name, field in fields.items():
        for mark in field.metadata:
            path = read.pop(name, None) if isinstance(mark, FileOf) else None
            if path is None:
                continue
            place = f"{called(name)} {path}"
            if mark.name in read:
                both = f"expected it or {called(mark.name)}, got both"
                read[mark.name] = Unusable(name, place, both)
                continue
            try:
                lines = _lines(Path(path))
                is_list = get_origin(fields[mark.name].annotation) is list
                read[mark.name] = lines if is_list else _only(lines)
            except ValueError as error:
                read[mark.name] = Unusable(name, place, str(error))
    return read


def _lines(path: Path) -> list[str]:
    """Raises `ValueError` without the path."""
    try:
        with path.open("rb") as file:  # not its size: a pipe has none
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(error.strerror) from None
    if len(content) > MAX_BYTES:
        raise ValueError(f"expected at most {MAX_BYTES:,} bytes, got more")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:  # its text holds some of the bytes
        raise ValueError("expected UTF-8 text") from None
    lines = [line.strip() for line in text.splitlines()]
    kept = [line for line in lines if line and not line.startswith("#")]
    if not kept:
        raise ValueError("expected a line of text, got none")
    return kept


def _only(lines: list[str]) -> str:
    if len(lines) != 1:
        raise ValueError(f"expected one line, got {len(lines)}")
    return lines[0]
