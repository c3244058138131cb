"""Batches under way: each on a thread of its own, taken back in the order they were started."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import dropwhile, pairwise
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Batch(Generic[T, R]):
    """A batch and what will come of it: `results.result()` returns that, or raises."""

    items: Sequence[T]
    results: Future[Sequence[R]]


class Lanes(Generic[T, R]):
    """Runs `work` on up to `count` batches at the same time.

    While one lane decodes, another is on the device and a third is being settled, so the slowest
    of these sets the speed and not their sum. `start`, `finished` and `wait` are for one thread.
    """

    def __init__(self, count: int, work: Callable[[Sequence[T]], Sequence[R]]) -> None:
        if count < 1:
            raise ValueError(f"expected at least one lane, got {count}")
        self._count = count
        self._work = work
        self._threads = ThreadPoolExecutor(count, "lane")
        self._under_way: deque[Batch[T, R]] = deque()
        self._has_finished = threading.Event()

    def __enter__(self) -> Lanes[T, R]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._threads.shutdown()

    @property
    def free(self) -> int:
        """How many more batches would start at once; one that waits to be taken back is done.

        0 also when `count` that are done wait for one before them: they would pile up behind one
        that hangs.
        """
        held = list(dropwhile(_is_done, self._under_way))
        running = sum(not _is_done(batch) for batch in held)
        return min(self._count - running, 2 * self._count - len(held))

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, and nothing waits to be taken back."""
        return not self._under_way

    def start(self, items: Sequence[T]) -> None:
        """Put a batch under way."""
        results = self._threads.submit(self._work, items)
        self._under_way.append(Batch(items, results))
        results.add_done_callback(lambda _: self._has_finished.set())

    def finished(self) -> list[Batch[T, R]]:
        """Take back the batches that are done, but none before those started earlier."""
        done = []
        while self._under_way and _is_done(self._under_way[0]):
            done.append(self._under_way.popleft())
        return done

    def wait(self, timeout_s: float) -> None:
        """Until a batch is done that was not when `wait` last returned, or for `timeout_s`."""
        self._has_finished.wait(timeout_s)
        self._has_finished.clear()


def _is_done(batch: Batch[T, R]) -> bool:
    return batch.results.done()


def shares(items: Sequence[T], most: int) -> list[Sequence[T]]:
    """`items` in at most `most` parts of nearly the same size, in order; none is empty."""
    parts = min(most, len(items))
    bounds = [len(items) * part // parts for part in range(parts + 1)] if parts else []
    return [items[begin:end] for begin, end in pairwise(bounds)]
