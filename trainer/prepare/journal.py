"""What is done so far, on disk: a killed `prepare` goes on where it was.

::

    one line of JSON: what is being prepared
    then per image   length of the text u32, of the crop u32, crc32 of both u32, text, crop

A last entry that is cut short, or damaged, is dropped when the journal is opened again.
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from contract.errors import EmotionStreamError, UsageError
from trainer.prepare.cropping import Cropped, Outcome, Refused

_ENTRY = struct.Struct("<III")


class Journal:
    """The outcomes of a run at `path`; one process at a time.

    about   what is being prepared and how
    force   drop what a run about something else has left here

    Raises `UsageError` when another process holds it, it cannot be written, or it is about
    something else.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], *, force: bool = False) -> None:
        self.path = path
        self._places: dict[str, tuple[int, int, int]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        except OSError as error:
            raise UsageError(f"{path}: cannot write: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise UsageError(f"{path}: another emotion-trainer prepare works on it") from error
        head = (json.dumps(about, sort_keys=True) + "\n").encode()
        if self._recover(head):
            return
        if path.stat().st_size > 0 and not force:
            self._file.close()
            raise UsageError(
                f"{path}: is what another run was doing, with other data or options; "
                "--force drops it, another --out leaves it alone"
            )
        self._file.truncate(0)
        self._write([head])

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __len__(self) -> int:
        return len(self._places)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Append outcomes; they survive this process when this returns.

        Raises `EmotionStreamError` when the disk is full; what was there before stays good.
        """
        end = self._file.seek(0, os.SEEK_END)
        parts = []
        places = {}
        for outcome in outcomes:
            text, data = _packed(outcome)
            parts += [_ENTRY.pack(len(text), len(data), zlib.crc32(text + data)), text, data]
            places[outcome.id] = (end + _ENTRY.size, len(text), len(data))
            end += _ENTRY.size + len(text) + len(data)
        self._write(parts)
        self._places |= places

    def get(self, name: str) -> Outcome:
        """The outcome of one image. Raises `KeyError` for one that has none."""
        start, text_bytes, data_bytes = self._places[name]
        data = os.pread(self._file.fileno(), text_bytes + data_bytes, start)
        return _unpacked(data[:text_bytes], data[text_bytes:])

    def remove(self) -> None:
        """All is done: nothing is left to go on with."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        with suppress(OSError):  # a full disk was reported when it was met
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, parts: list[bytes]) -> None:
        end = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write(b"".join(parts))
            self._file.flush()
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file.fileno(), end)
            raise EmotionStreamError(
                f"{self.path}: cannot write: {error.strerror}; {len(self):,} images are done, "
                "and the same command goes on from there"
            ) from error

    def _recover(self, head: bytes) -> bool:
        """Find the entries; False for a journal about something else, or a new one."""
        size = self._file.seek(0, os.SEEK_END)
        if size < len(head):
            return False
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[: len(head)] != head:
                return False
            at = len(head)
            while at + _ENTRY.size <= size:
                text_bytes, data_bytes, crc = _ENTRY.unpack(data[at : at + _ENTRY.size])
                start, end = at + _ENTRY.size, at + _ENTRY.size + text_bytes + data_bytes
                if end > size or zlib.crc32(data[start:end]) != crc:
                    break
                name = json.loads(data[start : start + text_bytes])["id"]
                self._places[name] = (start, text_bytes, data_bytes)
                at = end
        self._file.truncate(at)
        return True


def _packed(outcome: Outcome) -> tuple[bytes, bytes]:
    fields = asdict(outcome)
    data = fields.pop("data", b"")
    for name in ("coarse", "fine"):
        if name in fields:
            fields[name] = fields[name].hex()
    return json.dumps(fields).encode(), data


def _unpacked(text: bytes, data: bytes) -> Outcome:
    fields = json.loads(text)
    if "reason" in fields:
        return Refused(**fields)
    for name in ("coarse", "fine"):
        fields[name] = bytes.fromhex(fields[name])
    return Cropped(data=data, **fields)
