"""How `--help` looks."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable
from typing import ClassVar


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help in plain words: a docstring's own line breaks, no type names, no empty defaults."""

    _METAVARS: ClassVar = {
        "str": "TEXT",
        "int": "N",
        "float": "NUMBER",
        "list[str]": "TEXT",
        "list[Path]": "PATH",
        "Path": "PATH",
    }

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return super()._fill_text(inspect.cleandoc(text), width, indent)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        help_text = action.help or ""
        for empty in (" (default: None)", " (default: [])", " (default: null)"):
            help_text = help_text.replace(empty, "")
        return re.sub(r" \(default factory: .*\)", "", help_text)  # the text itself says what

    def _metavar_formatter(
        self, action: argparse.Action, default_metavar: str
    ) -> Callable[[int], tuple[str, ...]]:
        if action.dest == "redis":
            action.metavar = "URL"
        elif isinstance(action.metavar, str):
            one_of = re.sub(r"^list\[(\{.*\})\]$", r"\1", action.metavar)
            action.metavar = self._METAVARS.get(one_of, one_of)
        return super()._metavar_formatter(action, default_metavar)
