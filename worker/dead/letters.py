"""The dead letters of a system: found, put back into the frames stream, removed."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contract import keys as names
from contract import wire
from contract.errors import DecodeError, EncodeError, UsageError
from contract.keys import Keys
from worker.frames import script_text

if TYPE_CHECKING:
    import redis

_PAGE = 16  # letters fetched at a time: each may hold 8 MiB
_NAME = re.compile(r"(?:(\d{1,6})/)?(\d{1,20}-\d{1,20})")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One frame that was given up.

    name       what commands call it: its id in the stream of letters, after ``partition/`` where
               there are several
    at_ns      wall clock of the burial, 0 if unknown
    reason     one word; `detail` is a sentence
    attempts   how often it was tried alone
    frame      its id in the frames stream, before
    payload    the bytes that came; None if they were `left_out` (so many), or there were none
    """

    name: str
    keys: Keys
    entry_id: bytes
    at_ns: int
    reason: str
    detail: str
    attempts: int
    frame: str
    payload: bytes | None
    left_out: int = 0

    @classmethod
    def of(cls, keys: Keys, entry_id: bytes, entry: wire.Entry, *, name: str) -> DeadLetter:
        """From an entry of the stream of letters, whatever is missing in it."""
        return cls(
            name=name,
            keys=keys,
            entry_id=entry_id,
            at_ns=_number(entry.get(b"at_ns")),
            reason=_text(entry.get(b"reason")),
            detail=_text(entry.get(b"detail")),
            attempts=_number(entry.get(b"attempts")),
            frame=_text(entry.get(b"frame")),
            payload=entry.get(wire.FIELD),
            left_out=_number(entry.get(b"left_out")),
        )

    @property
    def size_bytes(self) -> int:
        """Of what came, kept or not."""
        return self.left_out if self.payload is None else len(self.payload)

    def message(self) -> dict[str, Any]:
        """The map its bytes hold, also where its values are wrong; empty if there is none."""
        return _message(self.payload) if self.payload is not None else {}

    def frame_id(self) -> tuple[str, str, int] | None:
        """Source, session and seq, if that much of it can be read."""
        message = self.message()
        try:
            return (
                wire.get(message, "source", wire.name),
                wire.get(message, "session", wire.name),
                wire.get(message, "seq", wire.integer(0)),
            )
        except DecodeError:
            return None


def check_name(name: str) -> str:
    """`name` if a letter can be called so. Raises `ValueError`."""
    if not _NAME.fullmatch(name):
        raise ValueError("expected the id of a dead letter such as 1767225600000-0")
    return name


class DeadLetters:
    """The letters of all `partitions`. Raises redis's own errors."""

    def __init__(self, client: redis.Redis, partitions: Sequence[Keys]) -> None:
        self._client = client
        self._partitions = partitions
        self._requeue, self._drop = (
            client.register_script(script_text("letters", name)) for name in ("requeue", "drop")
        )

    def newest_first(self) -> Iterator[DeadLetter]:
        """All of them, fetched as they are asked for."""
        return heapq.merge(*map(self._pages, self._partitions), key=_age_key, reverse=True)

    def find(self, name: str) -> DeadLetter | None:
        """The letter called `name`; without a partition in front all are searched.

        Raises `UsageError` if several partitions have one.
        """
        match = _NAME.fullmatch(name)
        if not match:
            return None
        found = [
            letter
            for keys in self._partitions
            if match[1] in (None, str(keys.partition))
            for letter in self._fetch(keys, match[2], match[2])
        ]
        if len(found) > 1:
            raise UsageError(f"{name}: expected one of {', '.join(item.name for item in found)}")
        return found[0] if found else None

    def requeue(self, letter: DeadLetter) -> bool:
        """Put it back as work; False if somebody removed it before. It must have its bytes."""
        if letter.payload is None:
            raise ValueError(f"{letter.name}: expected a letter with its bytes")
        keys = letter.keys
        done = self._requeue(
            keys=[keys.dead, keys.frames, keys.stats],
            args=[
                letter.entry_id,
                without_age_limit(letter.payload),
                names.DEAD_BYTES,
                names.PUBLISHED,
                names.REQUEUED,
            ],
        )
        return int(done) == 1

    def drop(self, letter: DeadLetter) -> bool:
        """Remove it for good; False if somebody did before."""
        keys = letter.keys
        (done,) = self._drop(keys=[keys.dead, keys.stats], args=[names.DEAD_BYTES, letter.entry_id])
        return int(done) == 1

    def _pages(self, keys: Keys) -> Iterator[DeadLetter]:
        newest = "+"
        while page := self._fetch(keys, newest, "-"):
            yield from page
            newest = f"({page[-1].entry_id.decode()}"

    def _fetch(self, keys: Keys, newest: str, oldest: str) -> list[DeadLetter]:
        """A page of letters between two ids, newest first."""
        entries: Any = self._client.xrevrange(keys.dead, newest, oldest, count=_PAGE)
        prefix = f"{keys.partition}/" if len(self._partitions) > 1 else ""
        return [
            DeadLetter.of(keys, entry_id, entry, name=f"{prefix}{entry_id.decode()}")
            for entry_id, entry in entries
        ]


def without_age_limit(payload: bytes) -> bytes:
    """`payload` as a frame that no worker drops as stale: an operator wants it analysed however old
    it is. Unknown keys stay. Bytes that this version can't read stay as they are: a newer worker
    may read them.
    """
    message = _message(payload)
    if message.get("max_age_ns") is None:
        return payload
    try:
        return wire.pack({**message, "max_age_ns": None}, limit=wire.MAX_FRAME_BYTES)
    except EncodeError:
        return payload


def _message(payload: bytes) -> dict[str, Any]:
    try:
        return wire.unpack(
            {wire.FIELD: payload},
            limit=wire.MAX_FRAME_BYTES,
            containers=wire.MAX_FRAME_CONTAINERS,
        )
    except DecodeError:
        return {}


def _age_key(letter: DeadLetter) -> tuple[int, int]:
    milliseconds, _, number = letter.entry_id.partition(b"-")
    return int(milliseconds), int(number)


def _number(value: bytes | None) -> int:
    return int(value) if value is not None and value.isdigit() and len(value) < 20 else 0


def _text(value: bytes | None) -> str:
    """One line that can be shown: bytes of strangers may hold escapes of the terminal."""
    text = (value or b"").decode(errors="replace")
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
