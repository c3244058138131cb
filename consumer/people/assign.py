"""Which face is which track, at least cost. No I/O.

Shortest augmenting paths with potentials (R. Jonker and A. Volgenant, "A shortest augmenting path
algorithm for dense and sparse linear assignment problems", Computing 38, 1987), on the sparse graph
of pairs that are possible at all: faces lie beside each other, so that hardly any face has more
than a few. A greedy choice would be quicker and wrong just when two people cross.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence


def assign(gains: Sequence[Mapping[int, float]]) -> list[int | None]:
    """The column of each row, no column twice, so that the sum of gains is greatest.

    gains   of each row: column -> gain > 0, of the pairs that are allowed
    A row without a column (None) gains nothing.
    """
    best = [max(options, key=options.__getitem__, default=None) for options in gains]
    taken = [column for column in best if column is not None]
    if len(taken) == len(set(taken)):  # no two want the same: almost every frame
        return best
    return _Augment(gains).columns()


class _Augment:
    """Rows take columns one after another, moving others where that costs less.

    Besides the columns given, each row has one of its own (`~row`, so below 0) that gains nothing:
    to be without.
    """

    def __init__(self, gains: Sequence[Mapping[int, float]]) -> None:
        self._costs = [
            {**{column: -gain for column, gain in options.items()}, ~row: 0.0}
            for row, options in enumerate(gains)
        ]
        self._row_of: dict[int, int] = {}
        self._column_of: dict[int, int] = {}
        self._price: dict[int, float] = {}  # of columns; 0 until somebody moved for it

    def columns(self) -> list[int | None]:
        for row in range(len(self._costs)):
            self._insert(row)
        held = (self._column_of[row] for row in range(len(self._costs)))
        return [column if column >= 0 else None for column in held]

    def _insert(self, row: int) -> None:
        """Dijkstra from `row` over reduced costs to the nearest column that is free."""
        distance: dict[int, float] = {}
        came_from: dict[int, int] = {}  # column -> the row that would take it
        done: dict[int, float] = {}
        queue: list[tuple[float, int]] = []
        base, now = 0.0, row
        while True:
            shift = base - self._value(now)
            for column, cost in self._costs[now].items():
                if column in done:
                    continue
                far = shift + cost - self._price.get(column, 0.0)
                if far < distance.get(column, math.inf):
                    distance[column] = far
                    came_from[column] = now
                    heapq.heappush(queue, (far, column))
            base, column = heapq.heappop(queue)
            while column in done:
                base, column = heapq.heappop(queue)
            done[column] = base
            if column not in self._row_of:
                break
            now = self._row_of[column]
        for passed, far in done.items():
            self._price[passed] = self._price.get(passed, 0.0) + far - base
        while True:  # hand the columns on, back along the path
            taker = came_from[column]
            before = self._column_of.get(taker)
            self._row_of[column], self._column_of[taker] = taker, column
            if before is None:
                return
            column = before

    def _value(self, row: int) -> float:
        """The row's potential: its reduced cost in the column it holds is 0."""
        column = self._column_of.get(row)
        if column is None:
            return 0.0
        return self._costs[row][column] - self._price.get(column, 0.0)
