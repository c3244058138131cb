"""The results as one picture."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.machine import busy, headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = {"naive": "#9a9a9a", "fer": "#c9b28f", "ceiling": "#b9d3ea", "pipeline": "#1f6fb2"}
_CAMERAS = ("#1f6fb2", "#e08a1e", "#2e8b57", "#8a4fa0")
_OVERLOADED = "#c0392b"


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Write a PNG with a panel for every section in `results`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    clips = results.get("throughput", {}).get("clips", [])
    panels: list[tuple[Any, Any]] = [(_throughput, clip) for clip in clips]
    panels += [(_latency, results["latency"])] if results.get("latency") else []
    panels += [(_workers, results["workers"])] if results.get("workers") else []
    if not panels:
        raise ValueError("expected at least one section, got none")
    heights = [1.3 + 0.5 * len(data["rows"]) if "rows" in data else 4.2 for _, data in panels]
    figure, axes = pyplot.subplots(
        len(panels), 1, figsize=(11, sum(heights) + 0.6), height_ratios=heights,
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for (draw_panel, data), ax in zip(panels, axes[:, 0], strict=True):
        draw_panel(ax, data)
        ax.spines[["top", "right"]].set_visible(False)
    noise = " (busy: figures mean little)" if busy(results["machine"]) else ""
    figure.suptitle(f"emotion-stream on {headline(results['machine'])}{noise}", fontsize=13)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _throughput(ax: Axes, clip: Mapping[str, Any]) -> None:
    rows = clip["rows"][::-1]  # the first at the top
    for place, row in enumerate(rows):
        values = row["frames_per_s"]
        median = statistics.median(values)
        ax.barh(place, median, color=_COLOURS[row["kind"]], height=0.72)
        ax.errorbar(
            median, place, xerr=[[median - min(values)], [max(values) - median]],
            color="#333333", capsize=3, linewidth=1,
        )  # fmt: skip
        ax.annotate(
            _throughput_note(row, median), (max(values), place), xytext=(8, 0),
            textcoords="offset points", va="center", fontsize=9,
        )  # fmt: skip
    ax.set_yticks(range(len(rows)), [row["name"] for row in rows])
    ax.set_xlim(0, 1.45 * max(max(row["frames_per_s"]) for row in rows))
    ax.set_xlabel("frames a second: median; the line is least to most")
    faces = rows[-1]["faces_per_frame"]
    ax.set_title(f"Throughput, {clip['clip']}, {faces:.2f} faces a frame", loc="left", fontsize=11)


def _throughput_note(row: Mapping[str, Any], median: float) -> str:
    notes = [f"{median:.0f}"]
    if row["kind"] != "naive":
        ratio = row["ratio_to_naive"]
        notes.append("other faces" if ratio is None else f"{ratio:.1f} x naive")
    if row["efficiency"] is not None:
        notes.append(f"efficiency {row['efficiency']:.2f}")
    return "   ".join(notes)


def _latency(ax: Axes, cells: Sequence[Mapping[str, Any]]) -> None:
    """A bar from p50 to p99 for every cell, p95 marked; red where frames were dropped."""
    from matplotlib.ticker import LogLocator, NullLocator

    rates = sorted({cell["fps"] for cell in cells})
    counts = sorted({cell["cameras"] for cell in cells})
    width = 0.9 / len(counts)
    for cell in cells:
        if cell["latency"] is None:
            continue
        at = rates.index(cell["fps"]) + width * (
            counts.index(cell["cameras"]) - (len(counts) - 1) / 2
        )
        p50, p95, p99 = (1e3 * cell["latency"][name] for name in ("p50_s", "p95_s", "p99_s"))
        colour = _OVERLOADED if cell["is_overloaded"] else _CAMERAS[counts.index(cell["cameras"])]
        ax.plot([at, at], [p50, p99], color=colour, linewidth=9, alpha=0.35, solid_capstyle="butt")
        for value, mark in ((p50, "o"), (p95, "_"), (p99, "^")):
            ax.plot(at, value, mark, color=colour, markersize=7, markeredgewidth=2)
        said = "1 camera" if cell["cameras"] == 1 else f"{cell['cameras']} cameras"
        if cell["is_overloaded"]:
            said += f"\n{cell['delivered_per_s']:.0f} of {cell['sent_per_s']:.0f}/s"
        ax.annotate(
            f"{said}\n{p50:.0f}-{p99:.0f}", (at, p99), xytext=(0, 7),
            textcoords="offset points", ha="center", va="bottom", fontsize=8,
        )  # fmt: skip
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.set_ylim(low / 1.2, high * 3)
    ax.set_xlim(-0.6, len(rates) - 0.4)
    ax.set_xticks(range(len(rates)), [f"{rate} frames/s a camera" for rate in rates])
    ax.set_ylabel("milliseconds")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(lambda value, _place: f"{value:g}")
    ax.yaxis.set_minor_locator(NullLocator())
    ax.grid(axis="y", alpha=0.25)
    ax.set_title(
        "Capture to event: p50 (dot), p95 (dash), p99 (triangle); red: overloaded, oldest dropped",
        loc="left", fontsize=11,
    )  # fmt: skip


def _workers(ax: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for place, row in enumerate(rows):
        values = row["frames_per_s"]
        median = statistics.median(values)
        ax.bar(place, median, color=_COLOURS["pipeline"], width=0.55)
        ax.errorbar(
            place, median, yerr=[[median - min(values)], [max(values) - median]],
            color="#333333", capsize=4, linewidth=1,
        )  # fmt: skip
        cpu_s = statistics.median(row["cpu_s_per_1000_frames"])
        ax.annotate(
            f"{median:.0f}\n{cpu_s:.1f} CPU s/1000\n{row['all_rss_mib']:.0f} MiB in all",
            (place, max(values)), xytext=(0, 6), textcoords="offset points", ha="center",
            fontsize=9,
        )  # fmt: skip
    ax.set_xticks(
        range(len(rows)),
        [
            f"{_counted(row['workers'], 'worker')}\n{_counted(row['partitions'], 'partition')}"
            for row in rows
        ],
    )
    ax.set_xlim(-0.7, len(rows) - 0.3)
    ax.set_ylim(0, 1.45 * max(max(row["frames_per_s"]) for row in rows))
    ax.set_ylabel("frames a second")
    ax.set_title(
        f"Workers on the same cores, {rows[0]['engine']}: median, least to most",
        loc="left", fontsize=11,
    )  # fmt: skip


def _counted(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"
