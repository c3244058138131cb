"""Draws panels of the dashboard by matplotlib, roughly as Grafana would."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from deploy.grafana.panel import Panel, Query
from tests.integration.prometheus import Series

BACKGROUND, CARD, GRID, TEXT, FAINT = "#111217", "#181b1f", "#2c3036", "#d5d7de", "#8e939d"
GREEN, RED = "#73bf69", "#f2495c"
_COLOURS = (
    GREEN, "#f2cc0c", "#8ab8ff", "#ff780a", RED, "#5794f2", "#b877d9", "#37872d", "#c4a20a",
)  # fmt: skip

# The series of each query of a panel, in the order of the queries.
Found = Sequence[tuple[Query, Sequence[Series]]]


def draw(axes: Axes, panel: Panel, found: Found, *, start_s: float, end_s: float) -> None:
    """One panel; the time axis goes from 0 at `start_s` to `end_s`."""
    axes.set_facecolor(CARD)
    axes.set_title(panel.title, loc="left", color=TEXT, fontsize=9, pad=5)
    for spine in axes.spines.values():
        spine.set_color(GRID)
    axes.tick_params(colors=FAINT, labelsize=7, length=0)
    _KINDS[panel.kind](axes, panel, found, start_s)
    if panel.is_momentary:
        axes.set_xticks([])
    else:
        axes.set_xlim(0, end_s - start_s)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f} s"))


def text_of(value: float, unit: str) -> str:
    """A number with its unit, short."""
    match unit:
        case "s":
            return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
        case "percentunit":
            return f"{value:.0%}"
        case "bytes" | "Bps":
            power = min(3, int(math.log(max(value, 1), 1024)))
            ending = "/s" if unit == "Bps" else ""
            return f"{value / 1024**power:.3g} {('B', 'KiB', 'MiB', 'GiB')[power]}{ending}"
        case "cps" | "ops":
            return f"{value:,.3g}/s" if value < 1000 else f"{value:,.0f}/s"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _name(query: Query, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), query.legend)


def _lines(axes: Axes, panel: Panel, found: Found, start_s: float) -> None:
    drawn = [
        (_name(query, labels), [at - start_s for at, _ in points], [value for _, value in points])
        for query, series in found
        for labels, points in series
    ]
    if panel.is_stacked:  # parts that are zero all the time only fill the legend
        drawn = [item for item in drawn if any(item[2])]
        every = sorted({at for _, times, _ in drawn for at in times})
        heights = [np.interp(every, times, values, 0, 0) for _, times, values in drawn]
        if drawn:
            names = [name for name, _, _ in drawn]
            own = dict(panel.colours)
            colours = [
                own.get(name, other) for name, other in zip(names, _cycle(len(names)), strict=True)
            ]
            axes.stackplot(every, heights, labels=names, colors=colours, alpha=0.75, lw=0)
    else:
        for (name, times, values), colour in zip(drawn, _cycle(len(drawn)), strict=True):
            axes.plot(times, values, label=name, color=colour, lw=1.2)
            axes.fill_between(times, values, color=colour, alpha=0.08, lw=0)
    if panel.limit is not None:
        axes.axhline(panel.limit, color=RED, lw=0.8, ls="--")
    axes.set_axisbelow(True)
    axes.grid(color=GRID, lw=0.5)
    least = 1.0 if panel.unit in ("short", "cps", "percentunit") else 1e-3
    top = 1.0 if panel.unit == "percentunit" else axes.get_ylim()[1]
    axes.set_ylim(0, max(top, least) if drawn else 1)
    if not drawn:
        axes.text(0.5, 0.5, "none", color=FAINT, fontsize=9, ha="center", transform=axes.transAxes)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: text_of(y, panel.unit)))
    if drawn:
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=6, fontsize=7, frameon=False,
            labelcolor=TEXT, handlelength=1, columnspacing=1.2,
        )  # fmt: skip


def _cycle(count: int) -> list[str]:
    return [_COLOURS[place % len(_COLOURS)] for place in range(count)]


def _latest(found: Found) -> list[tuple[str, float]]:
    return [
        (_name(query, labels), points[-1][1])
        for query, series in found
        for labels, points in series
    ]


def _stat(axes: Axes, panel: Panel, found: Found, _start_s: float) -> None:
    value = _latest(found)[0][1]
    most = 1 if panel.is_bad else panel.limit
    colour = RED if most is not None and value >= most else GREEN
    text = text_of(value, panel.unit)
    axes.text(0.5, 0.45, text, color=colour, fontsize=20, ha="center", va="center")
    axes.set_yticks([])


def _bars(axes: Axes, panel: Panel, found: Found, _start_s: float) -> None:
    latest = _latest(found)
    places = range(len(latest))
    values = [value for _, value in latest]
    axes.barh(places, values, color=GREEN, alpha=0.75, height=0.6)
    for place, value in zip(places, values, strict=True):
        axes.text(value, place, f" {value:,.0f}", color=TEXT, fontsize=8, va="center")
    axes.set_xlim(0, 1.3 * max(*values, 1))
    axes.set_yticks(places, [name for name, _ in latest])
    axes.invert_yaxis()


def _heat(axes: Axes, panel: Panel, found: Found, start_s: float) -> None:
    """Buckets count what is in the smaller ones too: each less its neighbour below."""
    series = sorted(found[0][1], key=lambda item: float(item[0]["le"]))
    every = sorted({at for _, points in series for at, _ in points})
    counts = np.array([[dict(points).get(at, 0.0) for at in every] for _, points in series])
    cells = np.diff(counts, axis=0, prepend=0).clip(0)
    seen = np.flatnonzero(cells.any(axis=1))
    low, high = max(seen[0] - 1, 0), min(seen[-1] + 2, len(series))
    cells = np.ma.masked_less_equal(cells[low:high], 0)
    times = [at - start_s for at in every]
    axes.pcolormesh(times, range(high - low), cells, cmap="inferno", shading="nearest")
    bounds = [float(labels["le"]) for labels, _ in series[low:high]]
    names = ["more" if math.isinf(bound) else f"≤ {text_of(bound, panel.unit)}" for bound in bounds]
    axes.set_yticks(range(high - low), names)


def _states(axes: Axes, panel: Panel, found: Found, start_s: float) -> None:
    series = [(_name(query, labels), points) for query, some in found for labels, points in some]
    for place, (_, points) in enumerate(series):
        for at, value in points:
            axes.barh(place, 1.05, left=at - start_s, color=GREEN if value else RED, height=0.6)
    axes.set_yticks(range(len(series)), [name for name, _ in series])
    axes.set_ylim(len(series) - 0.4, -0.6)


def _table(axes: Axes, panel: Panel, found: Found, _start_s: float) -> None:
    for line, (labels, _) in enumerate(found[0][1]):
        shown = {**labels, "sha256": labels.get("sha256", "")[:12]}
        text = "\n".join(f"{key}: {value}" for key, value in shown.items())
        axes.text(0.04, 0.93 - 0.45 * line, text, color=TEXT, fontsize=7.5, va="top")
    axes.set_yticks([])


_KINDS: dict[str, Callable[[Axes, Panel, Found, float], Any]] = {
    "bargauge": _bars,
    "heatmap": _heat,
    "stat": _stat,
    "state-timeline": _states,
    "table": _table,
    "timeseries": _lines,
}
