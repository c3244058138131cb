"""What was quantised and what it costs, as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from contract.console import Console, data_size
from trainer.quantize.classifier import ClassifierCost
from trainer.quantize.command import Written


def print_written(written: Sequence[Written]) -> None:
    """Print a table of the int8 forms and the files they are in."""
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("int8", "measured", ""):
        table.add_column(title)
    for each in written:
        cost = each.cost
        if isinstance(cost, ClassifierCost):
            table.add_row(
                "classifier",
                f"accuracy, n={cost.n:,}",
                f"{cost.accuracy:.2%}, {cost.float_accuracy:.2%} in float32",
            )
            table.add_row("", "same label", f"{cost.agreement:.2%}")
        else:
            table.add_row(
                "detector", "worst confidence", f"{cost.worst:.4f} of {cost.faces:,} faces"
            )
            table.add_row("", "smallest overlap", f"{cost.overlap:.3f}")
            table.add_row("", "other count of faces", f"{cost.other_count:,} of {cost.looks:,}")
        table.add_row("", "size", data_size(each.size_bytes))
    console = Console()
    console.print(table)
    for each in written:
        console.print(f"{each.xml}, .bin beside it", soft_wrap=True, highlight=False)
