"""Events as lines for people: one row an event, in colours on a terminal."""

from __future__ import annotations

import time
from typing import TextIO

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from consumer.sinks.sink import Unhurried
from contract.console import Console
from contract.event import FaceEmotion, Record, SourceRecord
from contract.palette import hex_colour_of

_TIME_CHARS = len("12:34:56.789")
_LEAST_SOURCE_CELLS = 10  # a Korean character fills two cells of a terminal
_SEQ_CHARS = 7
_LATENCY_CHARS = 10


class RowPrinter:
    """Prints rows whose columns are aligned, the source's as wide as its longest id; `heading` is
    that of the last column. Times are local wall-clock times."""

    def __init__(self, stream: TextIO, heading: str) -> None:
        self._console = Console(file=stream, highlight=False)
        self._heading = heading
        self._source_cells = 0

    def write(self, at_ns: int, source: str, seq: str, latency: str, what: Text) -> None:
        """Raises `BrokenPipeError` when nobody reads any more."""
        if not self._source_cells:
            self._source_cells = max(_LEAST_SOURCE_CELLS, cell_len(source))
            self._print("time", "source", "seq", "latency", Text(self._heading), "bold")
        self._source_cells = max(self._source_cells, cell_len(source))
        self._print(clock_time(at_ns), source, seq, latency, what, "dim")

    def _print(self, at: str, source: str, seq: str, latency: str, what: Text, style: str) -> None:
        cells = (
            at.ljust(_TIME_CHARS),
            set_cell_size(source, self._source_cells),
            seq.rjust(_SEQ_CHARS),
            latency.rjust(_LATENCY_CHARS),
        )
        row = Text.assemble(("  ".join(cells), style), "  ", what)
        # Soft: a line as long as it is, for grep; a terminal wraps it by itself.
        self._console.print(row, soft_wrap=True)


class EventTable(Unhurried):
    """A `Sink`: a row for each record; latency is capture to publication."""

    def __init__(self, stream: TextIO) -> None:
        self.name = "standard output"
        self._rows = RowPrinter(stream, "faces")

    def close(self) -> None:
        pass

    def write(self, record: Record, now_s: float = 0.0) -> None:
        """Raises `BrokenPipeError` when nobody reads any more."""
        if isinstance(record, SourceRecord):
            self._rows.write(record.at_ns, record.source, *source_row(record))
        else:
            self._rows.write(
                record.captured_at_ns,
                record.source,
                str(record.seq),
                f"{record.latency_s * 1000:,.0f} ms",
                _faces(record.faces),
            )


def source_row(record: SourceRecord) -> tuple[str, str, Text]:
    """The last three columns of a source record: no number, no latency, what happened."""
    what: str = record.state
    if record.moved:
        what = "moved here" if record.state == "started" else "moves to another partition"
    if record.frames is not None:
        frames = "1 frame" if record.frames == 1 else f"{record.frames:,} frames"
        what = f"{what}, {'expects' if record.state == 'started' else 'after'} {frames}"
    return "", "", Text(what, "bold red" if record.state == "offline" else "bold")


def clock_time(epoch_ns: int) -> str:
    """Local wall-clock time of `epoch_ns`, to the millisecond."""
    seconds, ns = divmod(epoch_ns, 1_000_000_000)
    try:
        local = time.strftime("%H:%M:%S", time.localtime(seconds))
    except (OverflowError, OSError, ValueError):  # a broken clock sent a year nobody can write
        return "??:??:??.???"
    return f"{local}.{ns // 1_000_000:03d}"


def _faces(faces: tuple[FaceEmotion, ...]) -> Text:
    if not faces:
        return Text("-", "dim")
    # From left to right, as a person looking at the picture would name them.
    ordered = sorted(faces, key=lambda face: face.box.left)
    return Text(", ").join(
        Text(
            f"{face.label} {face.scores.get(face.label, 0.0) * 100:.0f} %",
            hex_colour_of(face.label),
        )
        for face in ordered
    )
