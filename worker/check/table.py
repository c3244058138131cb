"""What was found, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TextIO

from rich.table import Table
from rich.text import Text

from contract.console import Console
from contract.redact import without_secrets
from worker.check.row import Row

_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red", "not tried": "dim"}


def print_table(rows: Sequence[Row], stream: TextIO) -> None:
    """A row each, with what to do about it below. Raises `BrokenPipeError` when nobody reads."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        said = Text(without_secrets(row.said))
        if row.advice:
            said.append(f"\n→ {row.advice}", "bold")
        table.add_row(Text(row.status, _STYLES[row.status]), Text(row.name, "bold"), said)
    console = Console(file=stream, highlight=False)
    if not console.is_terminal:
        console.width = 1000  # nothing is folded in a file
    console.print(table)


def print_json(rows: Sequence[Row], stream: TextIO) -> None:
    """One list. Raises `BrokenPipeError` when nobody reads."""
    fields = [{**asdict(row), "said": without_secrets(row.said)} for row in rows]
    stream.write(json.dumps(fields, ensure_ascii=False, indent=1) + "\n")
    stream.flush()
