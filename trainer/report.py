"""An evaluation as text for people and as JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from trainer.evaluate import ECE_BINS, Evaluation


@dataclass(frozen=True, slots=True)
class Report:
    """An evaluation with what it was made from.

    model     the artifact's id
    data      what was measured on, in words
    counts    how many rows of the data were used, and why the others were not
    labels    the classes in the order of the evaluation's arrays
    """

    model: str
    data: str
    counts: dict[str, int]
    labels: Sequence[str]
    evaluation: Evaluation


def as_json(report: Report) -> str:
    """The report as a JSON object; what is undefined (recall of a class without images) is null."""
    found = report.evaluation
    classes = {
        label: {
            "n": int(found.confusion[row].sum()),
            "precision": _number(found.precision[row]),
            "recall": _number(found.recall[row]),
            "f1": _number(found.f1[row]),
        }
        for row, label in enumerate(report.labels)
    }
    fields: dict[str, Any] = {
        "model": report.model,
        "data": report.data,
        "counts": report.counts,
        "n": found.n,
        "accuracy": found.accuracy,
        "accuracy_interval_95": found.accuracy_interval,
        "macro_f1": found.macro_f1,
        "macro_f1_interval_95": found.macro_f1_interval,
        "ece": {
            "bins": ECE_BINS,
            "before": found.ece_before,
            "after": found.ece_after,
            "temperature": found.temperature,
        },
        "classes": classes,
        "confusion": {"labels": list(report.labels), "rows_are_truth": found.confusion.tolist()},
    }
    return json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False)


def print_report(report: Report, console: Console) -> None:
    """Print the report as tables."""
    found = report.evaluation
    counts = ", ".join(f"{what} {count:,}" for what, count in report.counts.items())
    console.print(f"[bold]{report.model}[/] on {report.data}", highlight=False)
    console.print(f"[dim]{counts}[/]\n", highlight=False)
    console.print(_summary(found))
    console.print(_classes(report))
    console.print(_confusion(report))
    console.print(
        f"[dim]Intervals: 95 %, percentile bootstrap over images. macro-F1: mean of the classes' "
        f"F1. ECE: mean |accuracy - confidence| over {ECE_BINS} equally wide bins of the top "
        f"class's probability, weighted by images (Guo et al. 2017).[/]",
        highlight=False,
    )


def _summary(found: Evaluation) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row("images", f"[bold]{found.n:,}[/]", "")
    table.add_row("accuracy", f"[bold]{found.accuracy:.1%}[/]", _interval(found.accuracy_interval))
    table.add_row("macro-F1", f"[bold]{found.macro_f1:.3f}[/]", _interval(found.macro_f1_interval))
    table.add_row("ECE", f"[bold]{found.ece_after:.3f}[/]", f"at temperature {found.temperature:g}")
    table.add_row("", f"{found.ece_before:.3f}", "at temperature 1")
    return table


def _interval(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{low:.3f} to {high:.3f}"


def _classes(report: Report) -> Table:
    found = report.evaluation
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("class")
    for title in ("n", "recall", "precision", "F1"):
        table.add_column(title, justify="right")
    for row, label in enumerate(report.labels):
        table.add_row(
            label,
            f"{found.confusion[row].sum():,}",
            *(_share(values[row]) for values in (found.recall, found.precision, found.f1)),
        )
    return table


def _confusion(report: Report) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="rows: truth, columns: prediction", title_style="dim")
    table.add_column("")
    for label in report.labels:
        table.add_column(label[:4], justify="right")  # eight whole names are wider than 80 columns
    for row, label in enumerate(report.labels):
        cells = report.evaluation.confusion[row].tolist()
        table.add_row(
            label,
            *(
                f"[bold]{count}[/]" if column == row else str(count) if count else "[dim]·[/]"
                for column, count in enumerate(cells)
            ),
        )
    return table


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
