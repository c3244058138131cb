"""Which GPUs there are, without CUDA."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.process.gpus import usable_gpus


def devices(folder: Path, gpus: int) -> Path:
    (folder / "nvidiactl").touch()  # NVIDIA's driver has more than the cards
    for number in range(gpus):
        (folder / f"nvidia{number}").touch()
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
def test_the_devices_and_the_variable_decide(
    tmp_path: Path, gpus: int, variable: str | None, usable: list[str]
) -> None:
    environment = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    assert usable_gpus(environment, devices(tmp_path, gpus)) == usable


def test_a_card_that_is_not_the_first_has_the_first_number(tmp_path: Path) -> None:
    (tmp_path / "nvidia3").touch()  # all that a container was given: CUDA counts what it sees
    assert usable_gpus({}, tmp_path) == ["0"]


def test_without_devices_there_is_none(tmp_path: Path) -> None:
    assert usable_gpus({}, tmp_path / "gpus") == []
