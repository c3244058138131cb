"""The closing table: what was seen, how fast, and that no frame got lost."""

from __future__ import annotations

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from consumer.percentiles import Percentiles
from contract.palette import hex_colour_of
from deploy.local.render import bar
from deploy.local.status import Counts
from deploy.local.tally import Tally

BAR_WIDTH = 40


def summarise(tally: Tally, counts: Counts, *, realtime: bool = True, missed: int = 0) -> Group:
    """The summary as one renderable.

    realtime   whether files were played at their own speed
    missed     events that left the stream before they were read here
    """
    note = "p50, p95, p99: from the capture of a frame to its event"
    if not realtime:
        note += ", mostly waiting: frames came as fast as the queue took them"
    parts: list[Table | Text] = [Text(""), _sources(tally), Text(note, style="dim")]
    if tally.faces:
        parts += [Text(""), _emotions(tally)]
    parts += [Text(""), _conservation(counts)]
    if missed:
        parts.append(Text(f"{missed} events were trimmed before they were read", style="yellow"))
    # An empty line is one; padded, rich would leave it out.
    return Group(*(part and Padding(part, (0, 0, 0, 2), expand=False) for part in parts))


def conservation(counts: Counts) -> str:
    """``180 frames = 180 events + 0 dead + 0 dropped + 0 waiting``: nothing is left over."""
    dropped = sum(counts.dropped.values())
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.dropped.items())
    text = (
        f"{counts.published} frames published = {counts.events} events + {counts.dead} dead "
        f"+ {dropped} dropped{f' ({reasons})' if reasons else ''} + {counts.backlog} waiting"
    )
    if counts.unaccounted:
        text += f" + {counts.unaccounted} UNACCOUNTED FOR"
    extra = [f"{counts.refused} refused"] if counts.refused else []
    extra += [f"{counts.redelivered} redelivered"] if counts.redelivered else []
    return f"{text}; {', '.join(extra)}" if extra else text


def _conservation(counts: Counts) -> Text:
    style = "red" if counts.unaccounted else "yellow" if counts.dead or counts.dropped else "dim"
    return Text(conservation(counts), style=style)


def _sources(tally: Tally) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", footer_style="bold")
    several = len(tally.sources) > 1
    table.show_footer = several
    whole = tally.latency
    table.add_column("source", "all" if several else "", overflow="ellipsis", max_width=24)
    for header, footer in (
        ("frames", f"{tally.captured}"),
        ("events", f"{tally.events}"),
        ("faces", f"{tally.faces}"),
        ("frames/s", f"{tally.frames_per_s:.1f}"),
        ("p50 ms", _ms(whole, "p50_s")),
        ("p95 ms", _ms(whole, "p95_s")),
        ("p99 ms", _ms(whole, "p99_s")),
    ):
        table.add_column(header, footer, justify="right")
    for source in tally.sources.values():
        latency = Percentiles.of(source.latencies_s)
        table.add_row(
            source.source,
            f"{source.captured}",
            f"{source.events}",
            f"{source.faces}",
            f"{source.frames_per_s:.1f}",
            _ms(latency, "p50_s"),
            _ms(latency, "p95_s"),
            _ms(latency, "p99_s"),
        )
    return table


def _ms(latency: Percentiles | None, name: str) -> str:
    return "-" if latency is None else f"{getattr(latency, name) * 1e3:.0f}"


def _emotions(tally: Tally) -> Table:
    """Which emotion was the most probable one, as parts of all faces."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for label, count in tally.labels.most_common():
        share = count / tally.faces
        colour = hex_colour_of(label)
        table.add_row(
            Text(label, style=colour), bar(share, BAR_WIDTH, colour), f"{share:6.1%}", f"{count}"
        )
    return table
