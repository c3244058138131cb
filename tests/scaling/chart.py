"""A day as one picture: cameras, workers, backlog and latency over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.scaling.story import Played
from tests.scaling.timeline import percentile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = ("#1f6fb2", "#2e8b57", "#e08a1e", "#c0392b")
_LATENCY_OF_S = 1.0  # a percentile of the events of so long


def draw(days: Sequence[Played], factor: float, path: Path) -> None:
    """Write a PNG; the first day is drawn boldly, in full length. `factor`: seconds of KEDA's clock
    in a real one."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(12, 10), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True, height_ratios=(1, 2, 2, 2))
    for day, colour in reversed(list(zip(days, _COLOURS, strict=False))):
        _draw_day(axes, day, factor, colour, bold=day is days[0])
    titles = (
        "cameras, 20 frames a second each",
        "workers there shall be, by `streamLength`",
        "frames in the stream (the HPA's metric)",
        "capture to event, p95 of a second, in seconds",
    )
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", alpha=0.25)
        for name, at_s in days[0].timeline.phases:
            axis.axvline(at_s * factor / 60, color="0.8", linewidth=0.8, zorder=0)
            if axis is axes[0]:
                axis.annotate(
                    name, (at_s * factor / 60, 1.0), xycoords=("data", "axes fraction"),
                    xytext=(3, -2), textcoords="offset points", fontsize=7, color="0.35", va="top",
                )  # fmt: skip
    axes[0].set_ylim(0, 30)
    axes[1].set_ylim(0, None)
    lines, names = axes[1].get_legend_handles_labels()
    axes[1].legend(lines[::-1], names[::-1], fontsize=8, loc="upper right", frameon=False)
    axes[2].set_yscale("symlog", linthresh=1)
    axes[2].set_ylim(0, None)
    axes[3].set_yscale("log")
    for axis in axes[2:]:
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    axes[-1].set_xlabel(
        f"minutes of KEDA's clock, {factor:g} times as fast as the frames' "
        f"(a minute is {60 / factor:g} s)"
    )
    axes[-1].set_xlim(0, None)
    figure.savefig(path, dpi=110)


def _draw_day(axes: Sequence[Axes], day: Played, factor: float, colour: str, *, bold: bool) -> None:
    looks = day.timeline.looks
    minutes = [look.at_s * factor / 60 for look in looks]
    style: dict[str, Any] = {
        "color": colour,
        "linewidth": 1.8 if bold else 1.0,
        "alpha": 1.0 if bold else 0.75,
    }
    if bold:
        cameras = [look.cameras for look in looks]
        axes[0].fill_between(minutes, cameras, step="post", color="0.75")
    replicas = [look.replicas for look in looks]
    axes[1].step(minutes, replicas, where="post", label=day.setting.name, **style)
    axes[2].plot(minutes, [look.backlog for look in looks], **style)
    places, values = _p95(day)
    axes[3].plot([at_s * factor / 60 for at_s in places], values, marker=".", markersize=2, **style)


def _p95(day: Played) -> tuple[list[float], list[float]]:
    spans: defaultdict[int, list[float]] = defaultdict(list)
    for look in day.timeline.looks:
        spans[int(look.at_s / _LATENCY_OF_S)] += look.latencies_s
    found = {place: percentile(some, 95) for place, some in sorted(spans.items())}
    # A gap where nothing came: a line across it would be a lie.
    last = max(found, default=0)
    places = [place * _LATENCY_OF_S for place in range(last + 1)]
    return places, [found.get(place) or float("nan") for place in range(last + 1)]
