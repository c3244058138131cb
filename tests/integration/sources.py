"""Names of sources that live where a test wants them."""

from __future__ import annotations

from contract.keys import partition_of


def moving(before: int, after: int) -> str:
    """A source that lives in another partition after the change."""
    names = (f"cam{number}" for number in range(100))
    return next(n for n in names if partition_of(n, before) != partition_of(n, after))


def source_in(partition: int, partitions: int = 2) -> str:
    """The name of a source that lives there."""
    candidates = (f"cam{number}" for number in range(100))
    return next(name for name in candidates if partition_of(name, partitions) == partition)
