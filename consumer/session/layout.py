"""The lines of a recorded session. No I/O.

A session is JSON lines in UTF-8, through gzip if its name ends in ``.gz``: a header, one line for
each record with the time it came, a footer. Times are nanoseconds::

    {"format": "emotion-session", "version": 1, "started_at_ns": 17…, "created_by": "emotion-…"}
    {"at_ns": 12000000, "record": {…as `contract.event` writes it…}}
    {"end": true, "records": 1, "duration_ns": 60000000000}

Keys that a reader does not know it ignores; whatever it could get wrong raises the version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract import wire
from contract.errors import DecodeError
from contract.event import Record

FORMAT = "emotion-session"
VERSION = 1
# The fullest event is 1 MiB of msgpack; the same numbers as text are at most three times as long.
MAX_LINE_BYTES = 4 * wire.MAX_EVENT_BYTES

_time_ns = wire.integer(0)


@dataclass(frozen=True, slots=True)
class Header:
    """started_at_ns   wall clock when the recording began; the offsets count from there
    created_by         which program, and which version of it
    """

    started_at_ns: int
    created_by: str


@dataclass(frozen=True, slots=True)
class Footer:
    """records     how many there are
    duration_ns    how long the recording lasted, silence at its end included
    """

    records: int
    duration_ns: int


def header_line(header: Header) -> bytes:
    return _line(
        {
            "format": FORMAT,
            "version": VERSION,
            "started_at_ns": header.started_at_ns,
            "created_by": header.created_by,
        }
    )


def record_line(at_ns: int, record: Record) -> bytes:
    """`at_ns` since the recording began."""
    return _line({"at_ns": at_ns, "record": record.to_dict()})


def footer_line(footer: Footer) -> bytes:
    return _line({"end": True, "records": footer.records, "duration_ns": footer.duration_ns})


def parse_header(line: bytes) -> Header:
    """Raises `DecodeError`: no session (``format``), another version (``version``), ``malformed``.

    A first line that is anything else, a video for example, is no session rather than damaged.
    """
    try:
        fields = parse_line(line)
    except DecodeError:
        fields = {}
    if fields.get("format") != FORMAT:
        raise DecodeError("format", "expected a session made by emotion-events record")
    version = fields.get("version")
    if version != VERSION or type(version) is not int:
        maker = wire.short(fields.get("created_by"))
        raise DecodeError(
            "version", f"expected version {VERSION}, got {wire.short(version)}, made by {maker}"
        )
    return Header(
        wire.get(fields, "started_at_ns", _time_ns), wire.get(fields, "created_by", _text)
    )


def parse_line(line: bytes) -> dict[str, Any]:
    """The JSON object of a line. Raises `DecodeError`."""
    try:
        fields = json.loads(line.decode())
    except (ValueError, RecursionError) as error:
        raise DecodeError("malformed", f"expected one JSON object: {error}") from error
    if not isinstance(fields, dict):
        raise DecodeError("malformed", f"expected a JSON object, got {type(fields).__name__}")
    return fields


def offset_ns(fields: Mapping[str, Any]) -> int:
    """When the record of this line came. Raises `DecodeError`."""
    return wire.get(fields, "at_ns", _time_ns)


def message(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record of this line, as `contract.event.record_from_dict` takes it."""
    record = fields.get("record")
    if not isinstance(record, dict):
        raise DecodeError("malformed", f"record: expected an object, got {wire.short(record)}")
    wire.check_version(record)
    return wire.current(record)


def footer_of(fields: Mapping[str, Any]) -> Footer | None:
    """The footer, if the line is one. Raises `DecodeError`."""
    if "end" not in fields:
        return None
    wire.get(fields, "end", _true)
    return Footer(
        wire.get(fields, "records", wire.integer(0)), wire.get(fields, "duration_ns", _time_ns)
    )


def _line(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a text")
    return value


def _true(value: Any) -> bool:
    if value is not True:
        raise ValueError("expected true")
    return value
