"""Dead letters for people and as JSON lines."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, TextIO

from rich.table import Table
from rich.text import Text

from contract import wire
from contract.console import Console, data_size
from worker.dead.letters import DeadLetter

_PREVIEW_BYTES = 256
_ROW_BYTES = 16
_NAME_CHARS = 16


def print_json(letters: Sequence[DeadLetter], stream: TextIO) -> None:
    """One object a line. Raises `BrokenPipeError` when nobody reads any more."""
    for letter in letters:
        source, session, seq = letter.frame_id() or (None, None, None)
        fields = {
            "id": letter.name,
            "at_ns": letter.at_ns,
            "source": source,
            "session": session,
            "seq": seq,
            "reason": letter.reason,
            "attempts": letter.attempts,
            "size_bytes": letter.size_bytes,
            "bytes_kept": letter.payload is not None,
            "detail": letter.detail,
            "frame": letter.frame,
        }
        stream.write(json.dumps(fields, ensure_ascii=False) + "\n")
    stream.flush()


def print_table(letters: Sequence[DeadLetter], stream: TextIO) -> None:
    """A row each and their sum. Raises `BrokenPipeError` when nobody reads any more."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("id", "when", "frame", "reason", "attempts", "size", "detail"):
        right = column in ("attempts", "size")
        # `show` has the whole detail.
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for letter in letters:
        table.add_row(
            Text(letter.name),
            Text(local_time(letter.at_ns)),
            Text(frame_name(letter), "" if letter.frame_id() else "dim"),
            Text(letter.reason, "red"),
            Text(str(letter.attempts)),
            Text(data_size(letter.size_bytes)),
            Text(letter.detail, "dim"),
        )
    console = _console(stream)
    console.print(table)
    console.print(Text(f"\n{sum_of(letters)}"), soft_wrap=True)


def print_letter(letter: DeadLetter, stream: TextIO) -> None:
    """Everything about one. Raises `BrokenPipeError` when nobody reads any more."""
    rows = [
        ("id", letter.name),
        ("buried", local_time(letter.at_ns)),
        ("reason", letter.reason),
        ("detail", letter.detail),
        ("attempts", f"{letter.attempts} alone"),
        ("frame", frame_name(letter)),
        ("entry", f"{letter.frame} in {letter.keys.frames}"),
        ("size", _size(letter)),
        *_told(letter.message()),
    ]
    console = _console(stream)
    for name, value in rows:
        console.print(Text.assemble((f"{name:<{_NAME_CHARS}}", "bold"), value), soft_wrap=True)
    if letter.payload and not letter.message():
        console.print(Text(f"\n{hex_preview(letter.payload)}", "dim"), soft_wrap=True)


def sum_of(letters: Sequence[DeadLetter]) -> str:
    """How many, and how large."""
    size = data_size(sum(letter.size_bytes for letter in letters))
    return f"{len(letters):,} dead {'letter' if len(letters) == 1 else 'letters'}, {size}"


def frame_name(letter: DeadLetter) -> str:
    """``source/session/seq``, or ``?`` where that can't be read."""
    return "/".join(map(str, letter.frame_id() or "?"))


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
