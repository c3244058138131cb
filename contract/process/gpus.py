"""Which NVIDIA GPUs a process may use, without loading anything that would use them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
_DRIVER = Path("/proc/driver/nvidia/gpus")


def usable_gpus(environment: Mapping[str, str] = os.environ, driver: Path = _DRIVER) -> list[str]:
    """The GPUs of this machine, each as `CUDA_VISIBLE_DEVICES` names it; none where NVIDIA's
    driver is not loaded.

    Where that variable is set, only those it names: "" and "-1" name none (CUDA C++ Programming
    Guide, "CUDA Environment Variables").
    """
    try:
        present = len(list(driver.iterdir()))
    except OSError:
        present = 0
    if not present:
        return []
    named = environment.get(VISIBLE)
    if named is None:
        return [str(number) for number in range(present)]
    usable: list[str] = []
    for name in (part.strip() for part in named.split(",")):
        if not name or name.startswith("-"):
            break  # CUDA ignores what follows a name that is none
        usable.append(name)
    return usable
