"""What all messages share on the wire: one stream field, one msgpack map, one version, limits.

A stream entry has the single field ``m`` holding one msgpack map with the key ``v``. Every limit is
checked before the memory it protects is spent, so a hostile or broken sender costs a dead letter,
never a process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgpack

from contract.errors import DecodeError, EncodeError

VERSION = 1  # of the maps that this code's dataclasses make and take
READABLE_VERSIONS = frozenset({1})  # this version and, once there is one, the version before it
# A release that brings a version only reads it, the next one sends it: so two releases that follow
# each other run side by side, and are replaced in any order.
SENT_VERSION = min(READABLE_VERSIONS)

FIELD = b"m"

MAX_IMAGE_BYTES = 8 * 1024 * 1024
MAX_IMAGE_SIDE_PX = 16_384
MAX_IMAGE_PIXELS = 40_000_000  # 120 MB once decoded; an 8K frame has 33 million
MAX_FACES = 200  # the detector keeps no more
MAX_LABELS = 32
MAX_LABEL_CHARS = 32  # of a model; a reader takes any name
MAX_NAME_CHARS = 128
MAX_TRACE_BYTES = 512
MAX_EVENT_BYTES = 1024 * 1024  # MAX_FACES faces with MAX_LABELS labels of 4-byte characters
MAX_FRAME_BYTES = MAX_IMAGE_BYTES + 4096
# Maps and lists in one message: an empty one takes a byte on the wire and 64 in memory. Readers
# leave room for what later versions add: a frame is one map, a face is two maps and a list.
MAX_FRAME_CONTAINERS = 32
MAX_EVENT_CONTAINERS = 2_000
INT64_MAX = 2**63 - 1

Entry = Mapping[bytes, bytes]
Message = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """Makes any message of the version before `VERSION` one of `VERSION`, and back.

    A key that is only added, and may be missing, is no new version: readers ignore what they do not
    know, and `optional` takes its absence.
    """

    newer: Callable[[Message], Message]
    older: Callable[[Message], Message]


STEP: Step | None = None  # before the first version there is none


def current(message: Message) -> Message:
    """A message of a readable version, as one of `VERSION`."""
    if message["v"] == VERSION or STEP is None:
        return message
    return {**STEP.newer(message), "v": VERSION}


def to_send(message: Message) -> Message:
    """A message of `VERSION`, as one of `SENT_VERSION`."""
    if SENT_VERSION == VERSION or STEP is None:
        return message
    return {**STEP.older(message), "v": SENT_VERSION}


def pack(fields: Message, *, limit: int) -> bytes:
    """One message as msgpack bytes; `EncodeError` if it is longer than `limit` bytes."""
    data: bytes = msgpack.packb(fields, use_bin_type=True)
    if len(data) > limit:
        raise EncodeError(f"message of {len(data):,} bytes: expected at most {limit:,}")
    return data


def unpack(entry: Entry, *, limit: int, containers: int) -> dict[str, Any]:
    """The msgpack map inside a stream entry as it came, of a version this code reads.

    Raises `DecodeError` for anything else, and checks the length first: nothing is allocated for a
    message over `limit` bytes, and no more than `containers` maps and lists for one within it.
    """
    data = entry.get(FIELD)
    if data is None:
        found = ", ".join(short(key) for key in sorted(entry)[:5])
        raise DecodeError("missing", f"expected field {FIELD!r}, got {found or 'nothing'}")
    if len(data) > limit:
        raise DecodeError("oversized", f"expected at most {limit:,} bytes, got {len(data):,}")
    try:
        # No array or map of a valid message is longer than the face list; msgpack's own depth
        # limit (its StackError) refuses deep nesting.
        counted = _counter(containers)
        message = msgpack.unpackb(
            data,
            raw=False,
            max_array_len=MAX_FACES,
            max_map_len=64,
            max_ext_len=64,
            list_hook=counted,
            object_hook=counted,
        )
    except (ValueError, TypeError, RecursionError, OverflowError, msgpack.UnpackException) as error:
        detail = f"{type(error).__name__} {error}".strip()
        raise DecodeError("malformed", f"expected one msgpack map, got {detail[:200]}") from error
    if not isinstance(message, dict):
        raise DecodeError("malformed", f"expected a msgpack map, got {type(message).__name__}")
    check_version(message)
    return message


def check_version(message: Message) -> None:
    """Raises `DecodeError` for a version that this code does not read."""
    version = message.get("v")
    if type(version) is not int or version not in READABLE_VERSIONS:
        expected = ", ".join(str(known) for known in sorted(READABLE_VERSIONS))
        raise DecodeError("version", f"v: expected wire version {expected}, got {short(version)}")


def _counter(most: int) -> Callable[[T], T]:
    """A msgpack hook that lets `most` maps and lists pass; it is called as each one is made."""
    left = most

    def passes(container: T) -> T:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"more than {most:,} maps and lists")
        return container

    return passes


def get(message: Message, key: str, check: Callable[[Any], T]) -> T:
    """`message[key]` through `check`; its complaint becomes a `DecodeError` naming the key."""
    value = message.get(key)
    try:
        return check(value)
    except (ValueError, TypeError) as error:
        raise _refusal(key, value, error) from error


def _refusal(key: str, value: Any, error: Exception) -> DecodeError:
    return DecodeError("malformed", f"{key}: {error}, got {short(value)}")


Checks = Mapping[str, Callable[[Any], Any]]  # field of a message -> its check, for both directions


def get_all(message: Message, checks: Checks) -> dict[str, Any]:
    """The fields named in `checks`, each as `get` returns it."""
    fields: dict[str, Any] = {}
    for key, check in checks.items():  # `get`, without the price of a call for every field
        value = message.get(key)
        try:
            fields[key] = check(value)
        except (ValueError, TypeError) as error:
            raise _refusal(key, value, error) from error
    return fields


def require_all(fields: Message, checks: Checks) -> None:
    """Refuse to build what `get_all` would refuse to read: `EncodeError` naming the field."""
    try:
        get_all(fields, checks)
    except DecodeError as error:
        raise EncodeError(str(error)) from error


# Checks: each returns the value with its type, or raises ValueError saying what was expected.


def integer(low: int, high: int = INT64_MAX) -> Callable[[Any], int]:
    """A check for an int within [low, high]; booleans are not ints here."""

    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"expected an integer from {low} to {high}")
        return value

    return check


def number(low: float, high: float) -> Callable[[Any], float]:
    """A check for a finite number within [low, high]."""

    def check(value: Any) -> float:
        if type(value) is float and low <= value <= high:  # nearly always
            return value
        # A float is also one of numpy's; a bool is an int but no number. NaN fails the comparison.
        if not (isinstance(value, float) or type(value) is int) or not low <= value <= high:
            raise ValueError(f"expected a number from {low:g} to {high:g}")
        return float(value)

    return check


def optional(check: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """A check that lets nil through."""
    return lambda value: None if value is None else check(value)


def name(value: Any) -> str:
    """A check for an id: 1-128 printable characters, no spaces, no ``/`` (it joins ids)."""
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= MAX_NAME_CHARS
        or "/" in value
        or " " in value  # the only space that counts as printable
        or not value.isprintable()
    ):
        raise ValueError(
            f"expected 1-{MAX_NAME_CHARS} printable characters without spaces or slashes"
        )
    return value


def boolean(value: Any) -> bool:
    """A check for true or false."""
    if type(value) is not bool:
        raise ValueError("expected true or false")
    return value


def binary(limit: int) -> Callable[[Any], bytes]:
    """A check for bytes, at most `limit` of them."""

    def check(value: Any) -> bytes:
        if not isinstance(value, bytes) or len(value) > limit:
            raise ValueError(f"expected at most {limit:,} bytes of binary data")
        return value

    return check


def one_of(*allowed: str) -> Callable[[Any], str]:
    """A check for one of a few words."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return value

    return check


def short(value: Any) -> str:
    """A value from the wire for an error or a table, at most 80 characters."""
    if isinstance(value, bytes | str) and len(value) > 40:
        return f"{type(value).__name__} of length {len(value):,}"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
