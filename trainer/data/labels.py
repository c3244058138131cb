"""What label names mean, from `labels.toml` and what the user adds."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract import wire
from contract.errors import UsageError
from trainer.data.files import composed, text_of

UNSURE = "unsure"
LEFT_OUT = ""
_SHIPPED = Path(__file__).with_name("labels.toml")


@dataclass(frozen=True, slots=True)
class LabelMap:
    """names: a plain name -> a class, `UNSURE` or `LEFT_OUT`; order: of the classes in a pack."""

    names: Mapping[str, str]
    order: tuple[str, ...]

    def get(self, name: str) -> str | None:
        """The class of a name, None for a name in no map."""
        return self.names.get(plain(name))

    def get_or_keep(self, name: str) -> str:
        """The class of a name; a name in no map is a class of its own."""
        known = self.get(name)
        return kept(name) if known is None else known

    def sorted(self, labels: Iterable[str]) -> tuple[str, ...]:
        """`labels` in the order of a pack: known classes first, others by name."""
        places = {label: place for place, label in enumerate(self.order)}
        return tuple(sorted(set(labels), key=lambda label: (places.get(label, len(places)), label)))


def read_label_map(extra: Path | None = None) -> LabelMap:
    """The shipped map, overridden by the file `extra`. Raises `UsageError` naming the file."""
    shipped = _read(_SHIPPED)
    added = {} if extra is None else _read(extra)
    names = _names(_SHIPPED, shipped) | ({} if extra is None else _names(extra, added))
    order = [*added.get("order", []), *shipped["order"]]
    return LabelMap(names, tuple(dict.fromkeys(order)))


def plain(name: str) -> str:
    """A label name without what does not matter."""
    return " ".join(composed(name).replace("_", " ").replace("-", " ").split()).casefold()


def kept(name: str) -> str:
    """A name as a class of its own: events can carry it."""
    return "_".join(composed(name).split())


def _read(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(text_of(path.read_bytes()))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path}: cannot read the label map: {why}") from error
    order = table.get("order", [])
    if not isinstance(order, list) or not all(isinstance(label, str) for label in order):
        raise UsageError(f"{path}: order: expected a list of classes, got {order!r}")
    if unknown := sorted(set(table) - {"order", "names"}):
        raise UsageError(f"{path}: expected order and [names], got {unknown[0]!r}")
    return table


def _names(path: Path, table: Mapping[str, Any]) -> dict[str, str]:
    names = table.get("names", {})
    if not isinstance(names, dict):
        raise UsageError(f'{path}: names: expected lines like "기쁨" = "happiness", got {names!r}')
    for name, label in names.items():
        try:
            if label != LEFT_OUT:
                wire.name(label)
        except (TypeError, ValueError) as error:
            raise UsageError(f"{path}: {name} = {label!r}: {error}") from error
    return {plain(name): label for name, label in names.items()}
