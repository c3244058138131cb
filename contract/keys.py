"""Every Redis key and every counter name, from one prefix and one partition."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

DEFAULT_PREFIX = "emotion"
WORKERS_GROUP = "workers"  # the consumer group all workers share on a frames stream


def config_key(prefix: str) -> str:
    """Hash of what the roles of a system agree on: `contract.partitions.Layout`. The one key that
    belongs to no partition."""
    return f"{prefix}:config"


# Fields of the hash at `config_key`.
PARTITIONS = "partitions"  # how many there are
EARLIER = (
    "earlier"  # how many there were before, with commas; absent or empty = never another number
)


def partition_of(source: str, partitions: int) -> int:
    """The partition a source lives in: CRC-32 (zlib's) of its UTF-8 id, modulo their number."""
    return zlib.crc32(source.encode()) % partitions


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one partition.

    The braces are Redis Cluster hash tags: all keys of a partition share a slot, so one script can
    commit across them.
    """

    prefix: str = DEFAULT_PREFIX
    partition: int = 0

    def _key(self, name: str) -> str:
        return f"{self.prefix}:{{{self.partition}}}:{name}"

    @property
    def frames(self) -> str:
        """Stream of `FrameMessage`. A settled frame leaves it: its length is the backlog."""
        return self._key("frames")

    @property
    def events(self) -> str:
        """Stream of `EmotionEvent` and `SourceRecord`, bounded by length."""
        return self._key("events")

    @property
    def smoothed(self) -> str:
        """Stream of `contract.smoothed.Signal`, bounded by length; written by `--publish`."""
        return self._key("smoothed")

    @property
    def smoother(self) -> str:
        """String: the process that writes `smoothed` just now, with a TTL."""
        return self._key("smoother")

    @property
    def dead(self) -> str:
        """Stream of dead letters: ``reason``, ``detail``, ``attempts``, ``frame`` (its id in the
        frames stream), ``at_ns``, and the original bytes ``m``; in place of too many of them their
        number, ``left_out``; neither if the entry had no ``m``."""
        return self._key("dead")

    @property
    def stats(self) -> str:
        """Hash of the counters below, changed only by the scripts that move frames."""
        return self._key("stats")

    @property
    def fence(self) -> str:
        """Hash source -> ``epoch:session:seq:state:at_ns`` of its newest session."""
        return self._key("fence")

    @property
    def attempts(self) -> str:
        """Hash frame entry id -> how often it was tried alone."""
        return self._key("attempts")

    @property
    def reporter(self) -> str:
        """String: the worker that reports this partition's shared gauges just now, with a TTL."""
        return self._key("reporter")


# Fields of `Keys.stats`. At any moment (`contract.snapshot` reads one):
# published = events + dead + sum(dropped:*) + XLEN frames
PUBLISHED = "published"
EVENTS = "events"
DEAD = "dead"
DROPPED = "dropped:"  # + reason
REFUSED = "refused"  # frames never accepted: the stream was full of frames that workers hold
REDELIVERED = "redelivered"
REQUEUED = "requeued"  # dead letters put back: published - requeued is what producers sent
DEAD_BYTES = "dead_bytes"  # no counter: of the letters kept now, names and values of all fields
