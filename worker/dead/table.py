"""Dead letters for people and as JSON lines."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from rich.table import Table
from rich.text import Text

from contract import wire
from contract.console import Console, data_size
from worker.dead.letters import DeadLetter

_PREVIEW_BYTES = 256
_ROW_BYTES = 16
_NAME_CHARS = 16


@dataclass(frozen=True, slots=True)
class Row:
    """What a list shows of a letter, without its bytes: all together may be more than fit in
    memory. `frame_id` is source, session and seq, if they can be read."""

    name: str
    at_ns: int
    frame_id: tuple[str, str, int] | None
    reason: str
    attempts: int
    size_bytes: int
    bytes_kept: bool
    detail: str
    frame: str

    @classmethod
    def of(cls, letter: DeadLetter) -> Row:
        return cls(
            name=letter.name,
            at_ns=letter.at_ns,
            frame_id=letter.frame_id(),
            reason=letter.reason,
            attempts=letter.attempts,
            size_bytes=letter.size_bytes,
            bytes_kept=letter.payload is not None,
            detail=letter.detail,
            frame=letter.frame,
        )


def print_json(rows: Sequence[Row], stream: TextIO) -> None:
    """One object a line. Raises `BrokenPipeError` when nobody reads any more."""
    for row in rows:
        source, session, seq = row.frame_id or (None, None, None)
        fields = {
            "id": row.name,
            "at_ns": row.at_ns,
            "source": source,
            "session": session,
            "seq": seq,
            "reason": row.reason,
            "attempts": row.attempts,
            "size_bytes": row.size_bytes,
            "bytes_kept": row.bytes_kept,
            "detail": row.detail,
            "frame": row.frame,
        }
        stream.write(json.dumps(fields, ensure_ascii=False) + "\n")
    stream.flush()


def print_table(rows: Sequence[Row], stream: TextIO) -> None:
    """A row each and their sum. Raises `BrokenPipeError` when nobody reads any more."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("id", "when", "frame", "reason", "attempts", "size", "detail"):
        right = column in ("attempts", "size")
        # `show` has the whole detail.
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        table.add_row(
            Text(row.name),
            Text(local_time(row.at_ns)),
            Text(_frame_name(row.frame_id), "" if row.frame_id else "dim"),
            Text(row.reason, "red"),
            Text(str(row.attempts)),
            Text(data_size(row.size_bytes)),
            Text(row.detail, "dim"),
        )
    console = _console(stream)
    console.print(table)
    console.print(Text(f"\n{_sum_of(rows)}"), soft_wrap=True)


def print_letter(letter: DeadLetter, stream: TextIO) -> None:
    """Everything about one. Raises `BrokenPipeError` when nobody reads any more."""
    rows = [
        ("id", letter.name),
        ("buried", local_time(letter.at_ns)),
        ("reason", letter.reason),
        ("detail", letter.detail),
        ("attempts", f"{letter.attempts} alone"),
        ("frame", _frame_name(letter.frame_id())),
        ("entry", f"{letter.frame} in {letter.keys.frames}"),
        ("size", _size(letter)),
        *_told(letter.message()),
    ]
    console = _console(stream)
    for name, value in rows:
        console.print(Text.assemble((f"{name:<{_NAME_CHARS}}", "bold"), value), soft_wrap=True)
    if letter.payload and not letter.message():
        console.print(Text(f"\n{hex_preview(letter.payload)}", "dim"), soft_wrap=True)


def _sum_of(rows: Sequence[Row]) -> str:
    """How many, and how large."""
    size = data_size(sum(row.size_bytes for row in rows))
    return f"{len(rows):,} dead {'letter' if len(rows) == 1 else 'letters'}, {size}"


def _frame_name(frame_id: tuple[str, str, int] | None) -> str:
    """``source/session/seq``, or ``?`` where that can't be read."""
    return "/".join(map(str, frame_id or "?"))


def local_time(epoch_ns: int) -> str:
    """Local wall-clock date and time of `epoch_ns`, to the second."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch_ns // 1_000_000_000))
    except (OverflowError, OSError, ValueError):  # a broken clock sent a year nobody can write
        return "?"


def hex_preview(data: bytes) -> str:
    """The first bytes in hexadecimal and as text, 16 a line."""
    lines = []
    for at in range(0, min(len(data), _PREVIEW_BYTES), _ROW_BYTES):
        row = data[at : at + _ROW_BYTES]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:04x}  {row.hex(' '):<{3 * _ROW_BYTES}} {text}")
    if len(data) > _PREVIEW_BYTES:
        lines.append(f"... {len(data) - _PREVIEW_BYTES:,} bytes more")
    return "\n".join(lines)


def _size(letter: DeadLetter) -> str:
    if letter.payload is not None:
        return f"{len(letter.payload):,} bytes"
    if letter.left_out:
        return f"{letter.left_out:,} bytes, too many to be kept"
    return "no bytes: the entry had no field m"


def _told(message: dict[str, Any]) -> list[tuple[str, str]]:
    """What the frame says of itself, whether it is true or not."""
    rows = []
    # A stranger's keys are of any kind, and may hold escapes of the terminal.
    for key in sorted(message.keys() - {"source", "session", "seq", "image"}, key=repr):
        value = message[key]
        at = key == "captured_at_ns" and type(value) is int
        rows.append((wire.short(key).strip("'"), local_time(value) if at else wire.short(value)))
    image = message.get("image")
    if isinstance(image, bytes):
        rows.append(("image", f"{len(image):,} bytes"))
    return rows


def _console(stream: TextIO) -> Console:
    console = Console(file=stream, highlight=False)
    if not console.is_terminal:
        console.width = 1000  # nothing is cut off in a file
    return console
