"""All settings of all commands."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo

from contract.process.settings import ProcessSettings

ROOT = Path(__file__).parents[1]
PACKAGES = ("contract", "producer", "worker", "consumer", "trainer", "deploy")


def settings_classes() -> list[type[ProcessSettings]]:
    """Found, not listed: one that is new is among them."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*settings.py")):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return sorted(set(_under(ProcessSettings)), key=lambda cls: cls.__qualname__)


def fields_of(cls: type[ProcessSettings]) -> Iterator[tuple[str, FieldInfo]]:
    """Each setting, called as flags and variables call it."""
    for name, field in cls.model_fields.items():
        yield field.alias or name, field


def _under(cls: type[ProcessSettings]) -> Iterator[type[ProcessSettings]]:
    for child in cls.__subclasses__():
        if child.__module__.split(".")[0] in PACKAGES:
            yield child
            yield from _under(child)
