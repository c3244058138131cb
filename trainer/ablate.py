"""What each modification of the network is worth: stock against each, the same recipe and budget.

Every run has a folder; one that has ended is not repeated, one that was killed goes on.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from trainer.cost import milliseconds_per_face, multiply_adds
from trainer.crops import resized
from trainer.fit import on_gpu, train
from trainer.judge import Judge
from trainer.model import build
from trainer.options import Options
from trainer.pack import NO_MAJORITY, Pack
from trainer.progress import Progress
from trainer.recipe import Recipe, read_recipe
from trainer.switches import REFERENCE, ModelSwitches
from trainer.whole import write_json, write_text

STOCK = "stock"
_SIZES = ("side_px", "blocks", "width")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Accuracies are shares, of single crops; spread is the standard
    deviation over seeds, None for one seed.

    errors_avoided   share of the first line's errors (of its kind) not made, None on that line
    test             of the best epoch on validation; for reading, never for choosing
    cpu_ms           per face in batches of 16, by this machine's Keras; None where it has a GPU
    """

    name: str
    seeds: int
    valid: float | None
    valid_spread: float | None
    test: float | None
    test_spread: float | None
    errors_avoided: float | None
    parameters: int
    giga_multiply_adds: float
    cpu_ms: float | None


def variants(base: ModelSwitches) -> dict[str, ModelSwitches]:
    """Stock, stock with one change each, all changes together. `base` gives size and scale only."""
    stock = ModelSwitches(
        side_px=base.side_px,
        blocks=base.blocks,
        width=base.width,
        min_max=base.min_max,
        values=base.values,
    )
    changes: dict[str, dict[str, Any]] = {
        "3x3x3 stem": {"stem": "3x3x3"},
        "stride on the 3x3": {"stride_on": "3x3"},
        "avg-pool shortcuts": {"shortcut": "avgpool"},
        "squeeze-excite": {"se": 0.25},
        "zero-init": {"zero_init": True},
        "drop-path 0.2": {"drop_path": 0.2},
        "dropout 0.4": {"dropout": 0.4},
        "no convolution bias, He init, norms 0.9": {
            "conv_bias": False,
            "he_init": True,
            "norm_momentum": 0.9,
            "norm_epsilon": 1e-5,
        },
        "stride on the 3x3, blur-pool": {"stride_on": "3x3", "blur_pool": True},
        "GeM pooling": {"pool": "gem"},
        "attention pooling": {"pool": "attention"},
        "without min-max" if stock.min_max else "min-max": {"min_max": not stock.min_max},
    }
    named = {STOCK: stock} | {f"+ {name}": replace(stock, **new) for name, new in changes.items()}
    sizes: dict[str, Any] = {key: getattr(base, key) for key in _SIZES}
    return named | {"all of the reference": replace(REFERENCE, **sizes)}


def ablate(
    pack: Pack,
    recipe: Recipe,
    out: Path,
    *,
    epochs: int,
    seeds: int,
    minutes: float | None,
    held_mb: float,
    stop: threading.Event | None = None,
    progress: Progress,
    clock: Callable[[], float] = time.monotonic,
    only: Callable[[str], bool] = lambda name: True,
) -> str:
    """Run what is missing, write `out`/ablation.md and .json, return the former's text.

    No run starts after `minutes`. `only` chooses variants by name.
    """
    began_s = clock()
    train_settings = replace(recipe.train, epochs=epochs)
    plan = {
        name: replace(recipe, name=name, model=switches, train=train_settings)
        for name, switches in variants(recipe.model).items()
        if only(name)
    }
    seed_recipe = read_recipe("seed")
    sizes = {key: getattr(recipe.model, key) for key in _SIZES}
    comparison = {
        "recipe seed": replace(
            seed_recipe,
            model=replace(seed_recipe.model, **sizes),
            train=replace(seed_recipe.train, epochs=epochs, batch=recipe.train.batch),
        ),
        f"recipe {recipe.name}": replace(recipe, train=train_settings),
    }
    plan |= {name: one for name, one in comparison.items() if only(name)}
    # Seed by seed, so that a table over all variants exists as early as possible.
    for seed in range(1, seeds + 1):
        for name, one in plan.items():
            folder = out / _folder(name, seed)
            if (folder / "result.json").is_file():
                continue
            left = None if minutes is None else minutes - (clock() - began_s) / 60
            if (left is not None and left <= 0) or (stop is not None and stop.is_set()):
                continue
            progress.note(f"{name}, seed {seed}")
            options = Options(seed=seed, minutes=left, held_mb=held_mb, stop=stop)
            outcome = train(pack, one, folder, options, progress)
            if outcome.finished:
                result = {"valid": outcome.best["valid_accuracy"]} | _tested(pack, one, folder)
                write_json(folder / "result.json", result)
    rows = _rows(out, plan, seeds, len(pack.labels))
    write_json(out / "ablation.json", {"epochs": epochs, "rows": [asdict(row) for row in rows]})
    text = as_markdown(rows, epochs)
    write_text(out / "ablation.md", text)
    return text


def as_markdown(rows: list[Row], epochs: int) -> str:
    """The table."""
    lines = [
        f"Budget: {epochs} epochs a run, single crops. ± is the standard deviation over seeds.",
        "",
        "| network | seeds | validation | test | errors avoided | M parameters | G multiply-adds "
        "| CPU ms/face |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            row.name,
            str(row.seeds),
            _percent(row.valid, row.valid_spread),
            _percent(row.test, row.test_spread),
            "" if row.errors_avoided is None else f"{100 * row.errors_avoided:.1f} %",
            f"{row.parameters / 1e6:.1f}",
            f"{row.giga_multiply_adds:.2f}",
            "" if row.cpu_ms is None else f"{row.cpu_ms:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _rows(out: Path, plan: Mapping[str, Recipe], seeds: int, labels: int) -> list[Row]:
    rows: list[Row] = []
    for name, recipe in plan.items():
        results = [
            json.loads(path.read_text("utf-8"))
            for seed in range(1, seeds + 1)
            if (path := out / _folder(name, seed) / "result.json").is_file()
        ]
        network = build(recipe.model, labels)
        valid, valid_spread = _mean([result["valid"] for result in results])
        test, test_spread = _mean([r["test"] for r in results if r["test"] is not None])
        against = "recipe seed" if name.startswith("recipe ") else STOCK
        base = next((row.valid for row in rows if row.name == against), None)
        avoided = None
        if valid is not None and base is not None and base < 1:
            avoided = (valid - base) / (1 - base)
        rows.append(
            Row(
                name=name,
                seeds=len(results),
                valid=valid,
                valid_spread=valid_spread,
                test=test,
                test_spread=test_spread,
                errors_avoided=avoided,
                parameters=network.count_params(),
                giga_multiply_adds=multiply_adds(network) / 1e9,
                cpu_ms=None if on_gpu() else milliseconds_per_face(network),
            )
        )
    return rows


def _tested(pack: Pack, recipe: Recipe, folder: Path) -> dict[str, float | None]:
    rows = pack.split("test")
    rows = rows[pack.truth[rows] != NO_MAJORITY]
    if len(rows) == 0:
        return {"test": None}
    judge = Judge(keras.models.load_model(folder / "model.keras", compile=False))
    logits = judge.logits(resized(pack.images(rows, threads=4), recipe.model.side_px))
    return {"test": float((logits.argmax(axis=1) == pack.truth[rows]).mean())}


def _mean(values: list[float]) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return float(np.mean(values)), spread


def _percent(value: float | None, spread: float | None) -> str:
    if value is None:
        return ""
    return f"{100 * value:.2f} %" + ("" if spread is None else f" ± {100 * spread:.2f}")


def _folder(name: str, seed: int) -> str:
    plain = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
    return f"{plain.strip('-')}-seed{seed}"
