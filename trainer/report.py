"""What was measured, as text for people and as JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from contract.artifact import ModelManifest
from trainer.evaluate import ECE_BINS, Evaluation
from trainer.measure import Measurement


def as_json(
    manifest: ModelManifest, measured: Sequence[Measurement], int8: Measurement | None = None
) -> str:
    """The measurements as a JSON object; what is undefined (recall of a class without images) is
    null. `int8` is of the model's int8 form."""
    fields = {
        "model": manifest.id,
        "labels": list(manifest.labels),
        "measured": [_measurement(manifest, found) for found in measured],
        **({} if int8 is None else {"int8": _measurement(manifest, int8)}),
    }
    return json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False)


def recorded(measured: Measurement) -> dict[str, Any]:
    """What a manifest says of a measurement."""
    apart = measured.apart
    return {
        "fingerprint": measured.fingerprint,
        **figures(measured.single),
        **({} if apart is None else {"without_twins": {"n": apart.n, **_rounded(apart)}}),
        "by_face_side_px": {str(side): _rounded(one) for side, one in measured.by_size.items()},
    }


def figures(found: Evaluation) -> dict[str, Any]:
    """The main figures, for a manifest."""
    return {
        "n": found.n,
        "accuracy_interval_95": [round(bound, 4) for bound in found.accuracy_interval],
        "macro_f1_interval_95": [round(bound, 4) for bound in found.macro_f1_interval],
        **_rounded(found),
    }


def _rounded(found: Evaluation) -> dict[str, float]:
    # So that another machine's are the same.
    return {
        "accuracy": round(found.accuracy, 4),
        "macro_f1": round(found.macro_f1, 4),
        "ece": round(found.ece_after, 4),
    }


def _measurement(manifest: ModelManifest, found: Measurement) -> dict[str, Any]:
    return {
        "data": found.data,
        "fingerprint": found.fingerprint,
        "counts": dict(found.counts),
        **_evaluation(found.single, manifest.labels),
        "votes_nll_nats": found.votes_nll,
        "with_flip": _scores(found.flipped),
        "without_twins_in_other_splits": None
        if found.apart is None
        else {"n": found.apart.n, **_scores(found.apart)},
        "by_face_side_px": {str(side): _scores(one) for side, one in found.by_size.items()},
    }


def _scores(found: Evaluation) -> dict[str, Any]:
    return {
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
    }


def _evaluation(found: Evaluation, labels: Sequence[str]) -> dict[str, Any]:
    classes = {
        label: {
            "n": int(found.confusion[row].sum()),
            "precision": _number(found.precision[row]),
            "recall": _number(found.recall[row]),
            "f1": _number(found.f1[row]),
        }
        for row, label in enumerate(labels)
    }
    return {
        "n": found.n,
        **_scores(found),
        "classes": classes,
        "confusion": {"labels": list(labels), "rows_are_truth": found.confusion.tolist()},
    }


def print_measurement(manifest: ModelManifest, found: Measurement, console: Console) -> None:
    """Print one measurement as tables."""
    counts = ", ".join(f"{what} {count:,}" for what, count in found.counts.items())
    console.print(f"[bold]{manifest.id}[/] on {found.data}", highlight=False)
    console.print(f"[dim]{counts}[/]\n", highlight=False)
    console.print(_summary(found))
    console.print(_classes(found.single, manifest.labels))
    console.print(_confusion(found.single, manifest.labels))
    console.print(
        f"[dim]Intervals: 95 %, percentile bootstrap over images. macro-F1: mean of the classes' "
        f"F1. ECE: mean |accuracy - confidence| over {ECE_BINS} equally wide bins of the top "
        f"class's probability, weighted by images (Guo et al. 2017).[/]",
        highlight=False,
    )


def print_int8(found: Measurement, console: Console) -> None:
    """Print what the int8 form scores, after the float32 form's tables."""
    console.print(f"\n[bold]the same in int8[/] on {found.data}\n", highlight=False)
    console.print(_summary(found))


def _summary(measured: Measurement) -> Table:
    found, flipped = measured.single, measured.flipped
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row("images", f"[bold]{found.n:,}[/]", "")
    table.add_row("accuracy", f"[bold]{found.accuracy:.1%}[/]", _interval(found.accuracy_interval))
    table.add_row("", f"{flipped.accuracy:.1%}", "with the mirror image, too")
    if (apart := measured.apart) is not None and apart.n < found.n:
        table.add_row("", f"{apart.accuracy:.1%}", f"without {found.n - apart.n:,} twins of others")
    for side, one in sorted(measured.by_size.items()):
        table.add_row("", f"{one.accuracy:.1%}", f"faces of {side} pixels")
    table.add_row("macro-F1", f"[bold]{found.macro_f1:.3f}[/]", _interval(found.macro_f1_interval))
    table.add_row("ECE", f"[bold]{found.ece_after:.3f}[/]", f"at temperature {found.temperature:g}")
    table.add_row("", f"{found.ece_before:.3f}", "at temperature 1")
    table.add_row("votes", f"{measured.votes_nll:.3f}", "nats of cross-entropy")
    return table


def _interval(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{low:.3f} to {high:.3f}"


def _classes(found: Evaluation, labels: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("class")
    for title in ("n", "recall", "precision", "F1"):
        table.add_column(title, justify="right")
    for row, label in enumerate(labels):
        table.add_row(
            label,
            f"{found.confusion[row].sum():,}",
            *(_share(values[row]) for values in (found.recall, found.precision, found.f1)),
        )
    return table


def _confusion(found: Evaluation, labels: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title="rows: truth, columns: prediction", title_style="dim")
    table.add_column("")
    for label in labels:
        table.add_column(label[:4], justify="right")  # eight whole names are wider than 80 columns
    for row, label in enumerate(labels):
        cells = found.confusion[row].tolist()
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
