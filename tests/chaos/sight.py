"""What is seen of both systems while they run, and how their partitions are changed."""

from __future__ import annotations

from contextlib import suppress

import redis

from contract.connect import REFUSED
from contract.keys import Keys
from contract.partitions import change_layout
from contract.snapshot import Snapshot, read_snapshot
from tests.chaos.system import LIVE, LOSSLESS, SOURCES
from worker.repartition.spread import read_spread


class Sight:
    """Through a client past the proxy; that no server is there is no error.

    partitions, streams   how many partitions were asked for, now and at most
    conservation_checks   how often the law of conservation was seen to hold or not, in a partition
    broken_moments        the snapshots in which it did not
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.partitions = self.streams = 1
        self.conservation_checks = 0
        self.broken_moments: list[Snapshot] = []

    def has_changed(self, prefix: str, partitions: int) -> bool:
        """Change their number; false if that was not heard."""
        self.partitions, self.streams = partitions, max(partitions, self.streams)
        with suppress(*REFUSED):
            change_layout(self._client, prefix, partitions)
            return True
        return False

    def counts(self, prefix: str) -> list[Snapshot]:
        """Of every partition, and each is a check of the law; none while no server is there."""
        try:
            counts = [
                read_snapshot(self._client, Keys(prefix, number)) for number in range(self.streams)
            ]
        except REFUSED:
            return []
        self.conservation_checks += len(counts)
        self.broken_moments += [snapshot for snapshot in counts if snapshot.unaccounted]
        return counts

    def published(self) -> int:
        """Frames of the lossless system."""
        self.counts(LIVE)
        return sum(counts.published for counts in self.counts(LOSSLESS))

    def is_drained(self) -> bool:
        looks = [self.counts(prefix) for prefix in (LOSSLESS, LIVE)]
        return all(look and not any(counts.backlog for counts in look) for look in looks)

    def is_settled(self, prefix: str) -> bool:
        """Whether each source is where it belongs, and nowhere else, and nothing is left in
        partitions that are not used any more."""
        try:
            spread = read_spread(self._client, prefix)
        except REFUSED:
            return False
        running = [
            source.source
            for number in range(len(spread.partitions))
            for source in spread.running(number)
        ]
        return spread.is_settled and sorted(running) == sorted(SOURCES[prefix])

    def holds_frames(self, worker: str) -> bool:
        """Whether the worker of this name has any in hand."""
        return any(
            status.name == worker and status.pending
            for prefix in (LOSSLESS, LIVE)
            for snapshot in self.counts(prefix)
            for status in snapshot.workers
        )
