"""Source ids from what the user named: stable, readable, unique, and without credentials. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import PurePath
from urllib.parse import SplitResult, urlsplit

from contract import wire
from contract.errors import UsageError
from contract.redact import redacted

_KEPT_CATEGORIES = "LMN"  # letters, their marks and digits of any script: 영상.mp4 is `영상`
_KEPT_CHARACTERS = "._-"


def id_of_file(path: PurePath) -> str:
    """The file's name without its suffix."""
    return sanitised(path.stem)


def id_of_camera(index: int) -> str:
    return f"camera{index}"


def id_of_url(url: str) -> str:
    """Host, port and path; user name, password and query stay out, they can be secrets.

    Raises `UsageError` for what is no URL.
    """
    try:
        parts = _split(url)
    except ValueError as error:  # its message can hold the password
        raise UsageError(
            f"{label_of_url(url)}: expected a URL such as rtsp://user:password@host:554/path"
        ) from error
    host = parts.netloc.rpartition("@")[2]
    return sanitised(f"{host}{parts.path}")


def label_of_url(url: str) -> str:
    """What messages call it: without user name, password and query."""
    try:
        _split(url)
        return redacted(url)
    except ValueError:  # no URL: keep what lies behind the last place a password can be at
        scheme, _, rest = url.partition("://")
        rest = rest.rpartition("@")[2]
        return f"{scheme}://***@{rest.partition('?')[0].partition('#')[0]}"


def _split(url: str) -> SplitResult:
    """The parts of `url`; a `ValueError` also where a bare ``/`` or ``?`` in the password makes
    its beginning a port."""
    parts = urlsplit(url)
    _ = parts.port
    return parts


def sanitised(text: str) -> str:
    """`text` made to follow the rules of `contract.wire.name`; "source" if nothing is left."""
    # macOS hands out decomposed file names; the id must not depend on where the file lay.
    text = unicodedata.normalize("NFC", text)
    kept = "".join(
        character
        if character in _KEPT_CHARACTERS or unicodedata.category(character)[0] in _KEPT_CATEGORIES
        else " "
        for character in text
    )
    return "-".join(kept.split())[: wire.MAX_NAME_CHARS].strip("-") or "source"


def assign_ids(defaults: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """One id per source: the `wanted` ones for the first sources, then `defaults` made unique.

    The second `clip` becomes `clip-2`. Raises `UsageError` for more `wanted` ids than sources, for
    an id given twice and for one that breaks the wire's rules.
    """
    if len(wanted) > len(defaults):
        raise UsageError(
            f"--source-id: expected at most one per source ({len(defaults)}), got {len(wanted)}"
        )
    for position, source_id in enumerate(wanted):
        try:
            wire.name(source_id)
        except ValueError as error:
            raise UsageError(f"--source-id: {error}, got {source_id!r}") from error
        if source_id in wanted[:position]:
            raise UsageError(f"--source-id: expected different ids, got {source_id!r} twice")
    taken = set(wanted)
    ids = list(wanted)
    for default in defaults[len(wanted) :]:
        candidate, number = default, 1
        while candidate in taken:
            number += 1
            suffix = f"-{number}"
            candidate = default[: wire.MAX_NAME_CHARS - len(suffix)] + suffix
        taken.add(candidate)
        ids.append(candidate)
    return ids
