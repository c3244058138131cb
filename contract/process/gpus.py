"""Which NVIDIA GPUs a process may use, without loading anything that would use them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VISIBLE = "CUDA_VISIBLE_DEVICES"
_DEVICES = Path("/dev")


def usable_gpus(environment: Mapping[str, str] = os.environ, devices: Path = _DEVICES) -> list[str]:
    """The GPUs that this process is shown, each as `CUDA_VISIBLE_DEVICES` names it.

    Where that variable is set, only those it names: "" and "-1" name none (CUDA C++ Programming
    Guide, "CUDA Environment Variables"). Whether TensorFlow or JAX can use them only they know;
    asking them takes seconds.
    """
    # Not /proc/driver/nvidia: every container of a machine sees all of the machine's there.
    present = len(list(devices.glob("nvidia[0-9]*")))
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
