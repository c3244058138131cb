"""How a running system is doing, for `emotion-events status`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TextIO

from rich.table import Table
from rich.text import Text

from contract.console import Console, data_size
from contract.keys import Keys
from contract.partitions import Layout, read_layout
from contract.snapshot import Snapshot, SourceStatus, WorkerStatus, read_snapshot

if TYPE_CHECKING:
    import redis

# A worker asks for frames every 2 s or renews its leases; a batch lasts a minute at most.
SILENT_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class Status:
    """All partitions of a system at about `at_ns`, wall-clock nanoseconds."""

    partitions: tuple[Snapshot, ...]
    at_ns: int

    def total(self, count: str) -> int:
        """The sum of one count of `Snapshot`, by its name."""
        return sum(getattr(snapshot, count) for snapshot in self.partitions)

    @property
    def dropped(self) -> dict[str, int]:
        """Frames dropped, by reason."""
        dropped: dict[str, int] = {}
        for snapshot in self.partitions:
            for reason, count in snapshot.dropped.items():
                dropped[reason] = dropped.get(reason, 0) + count
        return dropped

    @property
    def sources(self) -> list[SourceStatus]:
        """Each once, with its newest session: it may have lived in other partitions before."""
        newest: dict[str, SourceStatus] = {}
        for snapshot in self.partitions:
            for source in snapshot.sources:
                known = newest.get(source.source)
                if known is None or known.at_ns < source.at_ns:
                    newest[source.source] = source
        return [newest[name] for name in sorted(newest)]

    @property
    def workers(self) -> list[WorkerStatus]:
        """Each once, though it serves all partitions."""
        found: dict[str, list[WorkerStatus]] = {}
        for snapshot in self.partitions:
            for worker in snapshot.workers:
                found.setdefault(worker.name, []).append(worker)
        return [
            WorkerStatus(
                name,
                sum(worker.pending for worker in seen),
                min(worker.idle_s for worker in seen),
            )
            for name, seen in sorted(found.items())
        ]

    @property
    def is_untouched(self) -> bool:
        """Whether no producer and no worker ever came here."""
        counts = ("published", "settled", "backlog", "refused", "event_entries", "dead_letters")
        return not self.sources and not self.workers and not any(map(self.total, counts))

    def age_s(self, epoch_ns: int) -> float:
        return (self.at_ns - epoch_ns) / 1e9

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, times in seconds and epoch nanoseconds."""
        counts = (
            "published", "events", "dead", "refused", "redelivered", "requeued", "backlog",
            "pending", "dead_letters", "dead_letter_bytes", "event_entries", "unaccounted",
        )  # fmt: skip
        return {
            "at_ns": self.at_ns,
            **{count: self.total(count) for count in counts},
            "dropped": self.dropped,
            "sources": [
                {**asdict(source), "age_s": self.age_s(source.at_ns)} for source in self.sources
            ],
            "workers": [
                {**asdict(worker), "silent": worker.idle_s > SILENT_AFTER_S}
                for worker in self.workers
            ],
        }


def read_status(client: redis.Redis, prefix: str) -> Status:
    """The counts of each partition belong to one moment. Raises redis's own errors, and
    `BrokerError`."""
    layout = read_layout(client, prefix) or Layout()
    snapshots = tuple(
        read_snapshot(client, Keys(prefix, partition)) for partition in range(layout.streams)
    )
    return Status(snapshots, time.time_ns())


def print_json(status: Status, stream: TextIO) -> None:
    """One line of JSON."""
    stream.write(json.dumps(status.to_dict(), ensure_ascii=False) + "\n")
    stream.flush()


def print_table(status: Status, stream: TextIO, *, server: str, prefix: str) -> None:
    """For people. `server` is the URL without its password.

    Raises `BrokenPipeError` when nobody reads any more.
    """
    console = Console(file=stream, highlight=False)
    if not console.is_terminal:
        console.width = 200  # nothing is cut off in a file
    if status.is_untouched:
        console.print(
            f"Nothing has run yet at {server} with prefix {prefix}.\n"
            "Start with: emotion-up VIDEO, or emotion-producer VIDEO and emotion-worker.",
            markup=False,
            soft_wrap=True,
        )
        return
    for table in (_sources(status), _workers(status), _counts(status)):
        console.print(table)
        console.print()
    console.print(_balance(status), soft_wrap=True)


def _sources(status: Status) -> Table:
    table = _table("source", "state", "session", "frames", "last sign")
    for source in status.sources:
        style = {"started": "green", "offline": "red"}.get(source.state, "")
        table.add_row(
            Text(source.source),
            Text(source.state, style),
            Text(source.session),
            Text(f"{source.last_seq + 1:,}"),
            Text(f"{duration(status.age_s(source.at_ns))} ago"),
        )
    if not status.sources:
        table.add_row(Text("none", "dim"))
    return table


def _workers(status: Status) -> Table:
    table = _table("worker", "in hand", "last sign", "")
    for worker in status.workers:
        silent = worker.idle_s > SILENT_AFTER_S
        table.add_row(
            Text(worker.name),
            Text(f"{worker.pending:,}"),
            Text(f"{duration(worker.idle_s)} ago"),
            Text("silent: gone or hung" if silent else "", "red"),
        )
    if not status.workers:
        table.add_row(Text("none", "dim"))
    return table


def _counts(status: Status) -> Table:
    table = _table("frames", "", "")
    dropped = status.dropped
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(dropped.items()))
    pending, kept = status.total("pending"), status.total("dead_letters")
    rows = (
        ("published", status.total("published"), ""),
        ("backlog", status.total("backlog"), f"{pending:,} of them in workers' hands"),
        ("events", status.total("events"), f"{status.total('event_entries'):,} records kept"),
        ("dead letters", status.total("dead"), _kept(kept, status.total("dead_letter_bytes"))),
        ("dropped", sum(dropped.values()), reasons),
        ("refused", status.total("refused"), "never accepted: the stream was full"),
        ("redelivered", status.total("redelivered"), "read again after a worker left them"),
        ("requeued", status.total("requeued"), "dead letters put back, published once more"),
    )
    for name, count, note in rows:
        table.add_row(Text(name), Text(f"{count:,}"), Text(note, "dim"))
    table.columns[1].justify = "right"
    return table


def _kept(letters: int, letter_bytes: int) -> str:
    if not letters:
        return "none kept"
    return f"{letters:,} kept, {data_size(letter_bytes)}: emotion-worker dead list"


def _balance(status: Status) -> Text:
    law = "published = events + dead letters + dropped + backlog"
    unaccounted = status.total("unaccounted")
    if not unaccounted:
        return Text(f"Every frame is accounted for: {law}.", "green")
    return Text(f"{unaccounted:,} frames are not accounted for: expected {law}.", "bold red")


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    return table


def duration(seconds: float) -> str:
    """A span of time as people say it: 0.4 s, 12 s, 3 min, 5 h, 2 days."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    for unit, length_s, limit_s in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < limit_s:
            return f"{seconds / length_s:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"
