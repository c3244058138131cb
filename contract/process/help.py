"""How `--help` looks."""

from __future__ import annotations

import argparse
import inspect
import itertools
import re
import textwrap
from collections.abc import Callable
from typing import ClassVar

_WIDEST = 96


def _is_prose(line: str) -> bool:
    return bool(line) and not line.startswith(" ")


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help in plain words: a docstring's own paragraphs, no type names, no empty defaults."""

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
        """Sentences fit the terminal; examples, which are indented, stay as they are written."""
        paragraph = textwrap.TextWrapper(min(width, _WIDEST), break_on_hyphens=False)
        lines: list[str] = []
        for prose, block in itertools.groupby(inspect.cleandoc(text).splitlines(), _is_prose):
            kept = list(block)
            lines += paragraph.wrap(" ".join(kept)) if prose else kept
        return "\n".join(indent + line for line in lines)

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
