"""When is a batch full enough? No I/O and no clock: the time is passed in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Batcher(Generic[T]):
    """Collects items until there are `size` of them or the first has waited `max_wait_s`.

    The deadline counts from the first item, so under load batches fill and throughput wins, and at
    low load nobody waits longer than `max_wait_s`. All times are monotonic seconds.
    """

    def __init__(self, size: int, max_wait_s: float) -> None:
        if size < 1 or max_wait_s < 0:
            raise ValueError(f"expected size >= 1 and wait >= 0, got {size} and {max_wait_s}")
        self._size = size
        self._max_wait_s = max_wait_s
        self._items: list[T] = []
        self._deadline_s = 0.0

    @property
    def room(self) -> int:
        """How many more items fit."""
        return self._size - len(self._items)

    @property
    def is_empty(self) -> bool:
        return not self._items

    def add(self, items: Sequence[T], now_s: float) -> None:
        """Put items in. Raises `ValueError` when there is no room for them."""
        if len(items) > self.room:
            raise ValueError(f"expected at most {self.room} items, got {len(items)}")
        if items and not self._items:
            self._deadline_s = now_s + self._max_wait_s
        self._items.extend(items)

    def wait_s(self, now_s: float) -> float | None:
        """How long to wait for more: None while empty, 0 when the batch is ready."""
        if not self._items:
            return None
        return max(0.0, self._deadline_s - now_s) if self.room else 0.0

    def take(self) -> list[T]:
        """The batch; the batcher is empty afterwards."""
        items, self._items = self._items, []
        return items
