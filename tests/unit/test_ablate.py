"""The ablation: what it compares, that it goes on, and the table."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.eagerly import eagerly
from tests.unit.test_training_run import CHANGES, write
from trainer import ablate as module
from trainer.ablate import Row, ablate, as_markdown, variants
from trainer.progress import Lines
from trainer.recipe import read_recipe
from trainer.switches import REFERENCE, ModelSwitches


def test_every_variant_is_stock_with_one_change_and_the_last_is_the_reference() -> None:
    named = variants(REFERENCE)
    stock = named.pop("stock")
    assert stock == ModelSwitches(min_max=True, values="-1..1")
    assert named.pop("all of the reference") == REFERENCE
    assert len({str(one) for one in named.values()}) == len(named) >= 12
    changed = {
        field
        for one in named.values()
        for field in ModelSwitches.__dataclass_fields__
        if getattr(one, field) != getattr(stock, field)
    }
    assert {"stem", "stride_on", "shortcut", "se", "zero_init", "drop_path", "dropout"} <= changed
    assert {"conv_bias", "blur_pool", "pool", "min_max"} <= changed
    assert "width" not in changed


def test_an_ablation_goes_on_where_it_was_and_tables_what_there_is(tmp_path: Path) -> None:
    pack = write(tmp_path / "tiny.pack")
    recipe = read_recipe("best", CHANGES | {"train.warm_up_epochs": "0"})
    stream = io.StringIO()

    def run(minutes: float | None) -> str:
        with eagerly():
            return ablate(
                pack, recipe, tmp_path / "out", epochs=1, seeds=1, minutes=minutes, held_mb=100,
                progress=Lines(stream), only=lambda name: name in ("stock", "+ zero-init"),
            )  # fmt: skip

    table = run(None)
    assert stream.getvalue().count("epoch 1/1") == 2
    (tmp_path / "out" / "stock-seed1" / "result.json").rename(tmp_path / "stock.json")
    later = run(0)  # no time: the table of what there is
    assert "| stock | 0 |  |  |  |" in later
    assert later.splitlines()[-1].split("|")[:5] == table.splitlines()[-1].split("|")[:5]
    (tmp_path / "stock.json").rename(tmp_path / "out" / "stock-seed1" / "result.json")
    assert run(None).splitlines()[-2].split("|")[:5] == table.splitlines()[-2].split("|")[:5]
    assert stream.getvalue().count("epoch 1/1") == 2  # nothing was run again

    rows = json.loads((tmp_path / "out" / "ablation.json").read_text("utf-8"))["rows"]
    stock, other = rows
    assert stock["seeds"] == other["seeds"] == 1
    result = json.loads((tmp_path / "out" / "stock-seed1" / "result.json").read_text("utf-8"))
    assert (stock["valid"], stock["test"]) == (result["valid"], result["test"])
    assert 0 <= stock["test"] <= 1
    assert stock["parameters"] == other["parameters"] > 0
    expected = (other["valid"] - stock["valid"]) / (1 - stock["valid"])
    assert other["errors_avoided"] == pytest.approx(expected)


def test_the_table_says_mean_spread_cost_and_errors_avoided() -> None:
    row = Row("+ squeeze-excite", 3, 0.875, 0.004, 0.87, None, 0.1, 26_100_000, 0.7, 11.04)
    line = as_markdown([row, replace(row, valid=None, cpu_ms=None)], 30).splitlines()
    assert line[0].startswith("Budget: 30 epochs")
    assert line[4] == (
        "| + squeeze-excite | 3 | 87.50 % ± 0.40 | 87.00 % | 10.0 % | 26.1 | 0.70 | 11.0 |"
    )
    assert "| 3 |  | 87.00 %" in line[5]
    mean, spread = module._mean([0.8, 0.9, 1.0])
    assert (mean, spread) == (pytest.approx(0.9), pytest.approx(0.1))
    assert module._mean([]) == (None, None)
