"""Which source is in which partition, and which has yet to move."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from contract.keys import Keys
from contract.partitions import Layout, read_layout
from contract.snapshot import Snapshot, SourceStatus, read_snapshot

if TYPE_CHECKING:
    import redis


# A source of which nothing came for so long, and of which nothing is left, is not waited for: its
# producer was killed, and left its session open.
_SILENT_NS = 60 * 10**9


@dataclass(frozen=True, slots=True)
class Spread:
    """All partitions of a system at `at_ns`, wall clock.

    layout       None before the system's first producer or worker
    partitions   the counts of each
    """

    layout: Layout | None
    partitions: tuple[Snapshot, ...]
    at_ns: int

    def running(self, partition: int) -> list[SourceStatus]:
        """The sources with an open session there."""
        return [s for s in self.partitions[partition].sources if s.state == "started"]

    @property
    def to_move(self) -> list[tuple[str, int, int]]:
        """(source, where it is, where it will be) of each that has not moved yet; but for those
        that seem to be gone."""
        layout = self.layout or Layout()
        return [
            (source.source, partition, layout.partition_of(source.source))
            for partition in range(len(self.partitions))
            for source in self.running(partition)
            if layout.partition_of(source.source) != partition
            and (self.partitions[partition].backlog or self.at_ns - source.at_ns < _SILENT_NS)
        ]

    @property
    def left(self) -> int:
        """Frames in partitions that are not used any more."""
        layout = self.layout or Layout()
        return sum(snapshot.backlog for snapshot in self.partitions[layout.partitions :])

    @property
    def is_settled(self) -> bool:
        """Whether the last change of the number has come to its end."""
        return not self.to_move and not self.left

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        layout = self.layout or Layout()
        return {
            "at_ns": self.at_ns,
            "partitions": layout.partitions,
            "earlier": list(layout.earlier),
            "settled": self.is_settled,
            "to_move": [
                {"source": source, "from": here, "to": there}
                for source, here, there in self.to_move
            ],
            "streams": [
                {
                    "partition": partition,
                    "backlog": snapshot.backlog,
                    "in_hand": snapshot.pending,
                    "published": snapshot.published,
                    "sources": [source.source for source in self.running(partition)],
                }
                for partition, snapshot in enumerate(self.partitions)
            ],
        }


def read_spread(client: redis.Redis, prefix: str) -> Spread:
    """Raises redis's own errors, `BrokerError` and `DecodeError`."""
    layout = read_layout(client, prefix)
    streams = range((layout or Layout()).streams)
    snapshots = tuple(read_snapshot(client, Keys(prefix, number)) for number in streams)
    return Spread(layout, snapshots, time.time_ns())
