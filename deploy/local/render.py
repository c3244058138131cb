"""The live view as one rich renderable. Pure: what it shows and the time are passed in."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Group
from rich.text import Text

from consumer.percentiles import Percentiles
from contract.palette import hex_colour_of
from contract.smoothed import Person
from deploy.local.status import Status
from deploy.local.tally import SourceTally, Tally, share_of

MAX_WIDTH = 100  # columns; longer bars say no more
MAX_PEOPLE = 4  # rows a source
LABEL_WIDTH = 12
FACE_BAR_MARGIN = 24  # indent, label and percentage around a bar
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_DIM = "bright_black"
_STATES = {"started": ("●", "green"), "ended": ("✓", "green"), "offline": ("○", "yellow")}


class Renderer:
    """Draws the live view. It remembers how many rows a source has needed, so that the view doesn't
    jump whenever a face comes or goes."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}

    def draw(self, tally: Tally, status: Status, now_s: float, *, width: int, height: int) -> Group:
        """The whole view, at most `width` columns; where `height` is short, one line for each
        source that is not over."""
        width = min(width, MAX_WIDTH)
        sources = list(tally.sources.values())
        lines = [line for source in sources for line in self._source(source, now_s, width)]
        if len(lines) + 4 > height:
            going = [source for source in sources if not source.is_over]
            lines = [_one_line(source, now_s) for source in going]
            if len(going) < len(sources):
                lines.insert(0, Text(f"  ✓ {len(sources) - len(going)} are over", style=_DIM))
        lines.insert(0, Text(""))
        lines.append(_footer(tally, status, now_s))
        for line in lines:  # a narrow terminal cuts a line; broken in two, it would shake the rest
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)

    def _source(self, source: SourceTally, now_s: float, width: int) -> list[Text]:
        people = source.people
        rows = max(self._rows.get(source.source, 1), min(len(people), MAX_PEOPLE))
        self._rows[source.source] = rows
        if source.is_over:
            return [_heading(source, now_s, width), Text("")]
        lines = [_heading(source, now_s, width)]
        shown = [_person(person, width) for person in people[:rows]]
        if not people:
            shown = [Text("    nobody in view" if source.events else "", style=_DIM)]
        lines += shown + [Text("") for _ in range(rows - len(shown))]
        lines.append(_recently(source, len(people) - len(shown), now_s))
        if source.total:
            lines.append(_progress(source, source.total, now_s, width))
        return [*lines, Text("")]


def bar(part: float, width: int, colour: str) -> Text:
    """A line of which `part` (0..1) is thick and coloured, to half a column."""
    halves = round(max(0.0, min(1.0, part)) * width * 2)
    text = Text("━" * (halves // 2), style=colour)
    if halves % 2:
        text.append("╸", style=colour)
    return text.append("─" * (width - (halves + 1) // 2), style="grey23")


def milliseconds(latency: Percentiles) -> str:
    """The median, and the slow end where it says something else."""
    return f"latency {latency.p50_s * 1e3:4.0f} ms, p95 {latency.p95_s * 1e3:4.0f} ms"


def _heading(source: SourceTally, now_s: float, width: int) -> Text:
    sign, colour = _STATES[source.state]
    window = source.window(now_s)
    facts = f"{window.frames_per_s:4.1f} frames/s"
    if window.latency is not None:
        facts += f"   {milliseconds(window.latency)}"
    if source.is_over:
        facts = f"{source.events} frames"
    elif source.state == "offline":
        facts = "offline"
    name = Text(f"  {sign} ", style=colour).append(source.source, style="bold default")
    name.truncate(max(8, width - len(facts) - 3), overflow="ellipsis")
    name.append(" " * (width - name.cell_len - len(facts)))
    return name.append(facts, style=_DIM)


def _person(person: Person, width: int) -> Text:
    colour = hex_colour_of(person.label)
    line = Text("    ").append(f"{person.label:<{LABEL_WIDTH}}", style=colour)
    line.append_text(bar(share_of(person), width - FACE_BAR_MARGIN, colour))
    return line.append(f"  {share_of(person):4.0%}")


def _recently(source: SourceTally, more: int, now_s: float) -> Text:
    """What the last seconds held, in words; beyond the people in view if they don't all fit."""
    shares = sorted(source.window(now_s).shares.items(), key=lambda item: -item[1])
    line = Text("    ")
    if more > 0:
        line.append(f"and {more} more   ", style=_DIM)
    if shares:
        line.append("lately  ", style=_DIM)
    for index, (label, share) in enumerate(shares[:3]):
        line.append("  " if index else "")
        line.append(label, style=hex_colour_of(label)).append(f" {share:.0%}", style=_DIM)
    return line


def _progress(source: SourceTally, total: int, now_s: float, width: int) -> Text:
    done = min(1.0, source.events / total)
    left_s = source.left_s(now_s)
    facts = f"{source.events} of {total} frames"
    if left_s is not None and left_s >= 1:
        facts += f"   {timedelta(seconds=round(left_s))} left"
    facts = f"  {done:4.0%}   {facts:<30}"
    line = Text("    ").append_text(bar(done, max(10, width - 4 - len(facts)), "cyan"))
    return line.append(facts, style=_DIM)


def _one_line(source: SourceTally, now_s: float) -> Text:
    sign, colour = _STATES[source.state]
    line = Text(f"  {sign} ", style=colour).append(f"{source.source[:20]:<20}  ", "bold default")
    if source.total:
        line.append(f"{min(1.0, source.events / source.total):4.0%}  ", style=_DIM)
    line.append(f"{source.window(now_s).frames_per_s:5.1f} frames/s  ", style=_DIM)
    for person in source.people:
        line.append(f"{person.label} {share_of(person):.0%}  ", style=hex_colour_of(person.label))
    return line


def _footer(tally: Tally, status: Status, now_s: float) -> Text:
    turning = _SPINNER[int(now_s * 8) % len(_SPINNER)]
    if status.phase == "loading":
        line = Text(f"  {turning} ", style="cyan").append("loading the model", style="default")
        ready = f"   {status.workers_ready} of {status.workers} workers" * (status.workers > 1)
        return line.append(f"{ready}   {status.running_s:.0f} s", style=_DIM)
    counts = status.counts
    parts = [
        str(timedelta(seconds=round(status.running_s))),
        f"{status.workers} workers" if status.workers > 1 else "1 worker",
        f"backlog {counts.backlog}",
    ]
    if len(tally.sources) > 1:
        rate = sum(source.window(now_s).frames_per_s for source in tally.sources.values())
        parts.append(f"{rate:.1f} frames/s")
    line = Text(f"  {turning} ", style="cyan")
    if status.phase == "stopping":
        line.append("stopping   ", style="default")
    line.append(" · ".join(parts), style=_DIM)
    for count, what in ((sum(counts.dropped.values()), "dropped"), (counts.dead, "dead")):
        if count:
            line.append(f" · {count} {what}", style="yellow")
    return line.append("   Ctrl-C ends", style=_DIM)
