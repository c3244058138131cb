"""What a panel of the dashboard is: a title, a few queries, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["bargauge", "heatmap", "stat", "state-timeline", "table", "timeseries"]

ROW_WIDTH = 24  # Grafana's grid


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL with Grafana's variables, and what its series are called (``{{label}}``)."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    unit        Grafana's name of the unit: s, percentunit, bytes, short, reqps ...
    width       of the 24 columns of a row
    is_stacked  areas on top of each other, for parts of a whole
    limit       a red line, or from where a number turns red
    is_bad      any number above zero is red
    colours     of series by their name, ``#rrggbb``
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    width: int = 8
    is_stacked: bool = False
    limit: float | None = None
    is_bad: bool = False
    colours: tuple[tuple[str, str], ...] = ()

    @property
    def is_momentary(self) -> bool:
        """Whether it shows the present alone."""
        return self.kind in ("bargauge", "stat", "table")


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading; `needs` says which other program measures them."""

    title: str
    panels: tuple[Panel, ...]
    needs: str = ""
