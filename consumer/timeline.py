"""One line of time for all sources: `Order`, then `Merge`, within one lateness. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from consumer.merge import Merge
from consumer.order import Order
from consumer.session_frames import Waited
from contract.event import Record


class Timeline:
    """The events of all sources in one line by capture time; the methods are those of `Order`.

    `Merge` is told when each event came into `Order`, so that none waits for longer than
    `lateness_s` in both together: what waited in the one for a missing frame waits that much less
    in the other.
    """

    def __init__(self, lateness_s: float = 0.2, *, drop_late: bool = False) -> None:
        self._order = Order(lateness_s)
        self._merge = Merge(lateness_s, drop_late=drop_late)

    @property
    def late(self) -> int:
        """Records that came too late: for their source, or for the line."""
        return self._order.late + self._merge.late

    @property
    def missing(self) -> int:
        """Frames that were given up and have not come since."""
        return self._order.missing

    def put(self, record: Record, now_s: float) -> list[Record]:
        """Take a record that came at `now_s`; returns what may go on, in order."""
        waited = self._order.put_waited(record, now_s)
        if self._order.holds(record.source):
            self._merge.expect(record.source, now_s)
        return self._merged(waited, now_s) + self._merge.due(self._order.until_s)

    def due(self, now_s: float) -> list[Record]:
        """What has waited long enough by `now_s`."""
        return self._merged(self._order.due_waited(now_s), now_s) + self._merge.due(now_s)

    def next_due_s(self) -> float | None:
        """When `due` has something at the latest; None if nothing waits for the clock."""
        times_s = (self._order.next_due_s(), self._merge.next_due_s())
        return min((due_s for due_s in times_s if due_s is not None), default=None)

    def flush(self) -> list[Record]:
        """All that waits, in order: nothing more will come."""
        waited = self._order.flush_waited()
        return self._merged(waited, waited[0].came_s if waited else 0.0) + self._merge.flush()

    def _merged(self, waited: Iterable[Waited], now_s: float) -> list[Record]:
        return [
            released
            for came_s, record in waited
            for released in self._merge.take(record, now_s, came_s)
        ]
