"""Which GPUs there are, without CUDA."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.process.gpus import usable_gpus


def driver(folder: Path, gpus: int) -> Path:
    for number in range(gpus):
        (folder / f"0000:0{number}:00.0").mkdir()
    return folder


@pytest.mark.parametrize(
    ("gpus", "variable", "usable"),
    [
        (0, None, []),
        (0, "0", []),
        (2, None, ["0", "1"]),
        (2, "1", ["1"]),
        (4, "3, 1", ["3", "1"]),
        (2, "", []),
        (2, "-1", []),
        (2, "0,-1,1", ["0"]),
        (1, "GPU-8932f937", ["GPU-8932f937"]),
    ],
)
def test_the_driver_and_the_variable_decide(
    tmp_path: Path, gpus: int, variable: str | None, usable: list[str]
) -> None:
    environment = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    assert usable_gpus(environment, driver(tmp_path, gpus)) == usable


def test_without_a_driver_there_is_none(tmp_path: Path) -> None:
    assert usable_gpus({}, tmp_path / "gpus") == []
