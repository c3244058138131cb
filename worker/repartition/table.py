"""Partitions for people and as JSON."""

from __future__ import annotations

import json
from typing import TextIO

from rich.table import Table
from rich.text import Text

from contract.console import Console
from contract.partitions import Layout
from worker.repartition.spread import Spread

_NAMES = 3  # sources named in a row or a sentence


def print_json(spread: Spread, stream: TextIO) -> None:
    """One line of JSON."""
    stream.write(json.dumps(spread.to_dict(), ensure_ascii=False) + "\n")
    stream.flush()


def print_table(spread: Spread, stream: TextIO) -> None:
    """For people. Raises `BrokenPipeError` when nobody reads any more."""
    console = Console(file=stream, highlight=False)
    if not console.is_terminal:
        console.width = 120
    layout = spread.layout or Layout()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("partition", justify="right")
    table.add_column("backlog", justify="right")
    table.add_column("in hand", justify="right")
    table.add_column("sources up")
    for partition, snapshot in enumerate(spread.partitions):
        number = f"{partition}" if partition < layout.partitions else f"{partition} (old)"
        names = [source.source for source in spread.running(partition)]
        table.add_row(number, f"{snapshot.backlog:,}", f"{snapshot.pending:,}", Text(_some(names)))
    console.print(table)
    console.print()
    console.print(sentence(spread), soft_wrap=True, markup=False)


def sentence(spread: Spread) -> str:
    """How far a change of the number is."""
    if spread.layout is None:
        return "Nothing has run yet; the role that starts first decides the number."
    number = spread.layout.partitions
    have = f"{number} partition{'s' if number > 1 else ''}"
    if spread.to_move:
        waiting = [f"{source} ({here} to {there})" for source, here, there in spread.to_move]
        return f"{have}. Yet to move: {_some(waiting)}."
    if spread.left:
        return f"{have}. Frames left in old ones: {spread.left:,}."
    return f"{have}. Every source is where it belongs."


def _some(names: list[str]) -> str:
    more = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {more:,} more" if more > 0 else "")
