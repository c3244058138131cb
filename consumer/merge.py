"""Several sources (and partitions) in one line by capture time. No I/O."""

from __future__ import annotations

from heapq import heappop, heappush

from contract.event import EmotionEvent, Record

_Place = tuple[int, str]  # wall clock of the capture in ns, source: unique among those that wait

# A source that said nothing for so long is not waited for until it speaks again: nobody tells when
# a producer is killed.
_SILENT_S = 60.0
_MAX_SOURCES = 1024
_MAX_WAITING = 16_384


class Merge:
    """Merges what `Order` puts out; its methods have the same names.

    A record goes on when every source that is up (seen, and neither ended nor offline) has come as
    far, or when it has waited `lateness_s`; then all that was captured before it goes first. Of
    equal times the source that sorts first goes first, so the same events make the same line. The
    place of ``ended`` and ``offline`` is their `at_ns`; ``started`` goes on at once, for the first
    frames may have been captured before the session was opened.

    An event that comes after its place was passed is counted as `late`. With `drop_late` it is
    dropped, and the line never goes back; otherwise it goes on at once. Mind what dropping means
    with several producers: a host whose clock is ahead of the others' by more than `lateness_s`
    makes all of theirs late. Within a source the order is always the one in which records were put.

    Times are monotonic seconds. At most 16,384 records wait, then the first one goes.
    """

    def __init__(self, lateness_s: float = 0.2, *, drop_late: bool = False) -> None:
        self.late = 0
        self._lateness_s = lateness_s
        self._drop_late = drop_late
        self._now_s = self._until_s = 0.0
        self._up: dict[str, tuple[int, float]] = {}  # source -> how far it has come, and when
        self._last: dict[str, _Place] = {}  # of those that wait, the last of each source
        self._records: dict[_Place, Record] = {}
        self._places: list[_Place] = []  # of the same ones, as a heap
        self._dues: list[tuple[float, _Place]] = []  # of the same ones, and some that are out
        self._passed: _Place = (-1, "")

    def put(self, record: Record, now_s: float) -> list[Record]:
        """Take a record that came at `now_s`; returns what may go on, in order."""
        if now_s != self._now_s:  # as in `Order`
            self._until_s = self._now_s if self._lateness_s else now_s
            self._now_s = now_s
        return self.take(record, now_s, now_s) + self.due(self._until_s)

    def expect(self, source: str, now_s: float) -> None:
        """A source is up, and something of it is on the way: the others wait for it."""
        reached_ns, _ = self._up.get(source, (-1, now_s))
        self._up[source] = (reached_ns, now_s)

    def take(self, record: Record, now_s: float, came_s: float) -> list[Record]:
        """As `put`, but returns only what nothing needs to wait for any more.

        came_s   when it came into `Order`: an event waits `lateness_s` for both together
        """
        source = record.source
        # Never before what waits of the same source, whatever its clock did.
        at_ns = self._last[source][0] + 1 if source in self._last else 0
        if isinstance(record, EmotionEvent):
            at_ns = max(at_ns, record.captured_at_ns)
            self._up[source] = (at_ns, now_s)
        elif record.state == "started":
            if source not in self._last:
                self.expect(source, now_s)
                return [record]
            self._up[source] = (at_ns, now_s)
        else:
            at_ns = max(at_ns, record.at_ns)
            self._up.pop(source, None)
            came_s = now_s  # an end waits long in `Order`, and that is no reason to hurry here
        released: list[Record] = []
        place = (at_ns, source)
        if place < self._passed:
            is_late = isinstance(record, EmotionEvent)
            self.late += is_late
            if not (is_late and self._drop_late):
                released.append(record)
        else:
            self._records[place] = record
            self._last[source] = place
            heappush(self._places, place)
            heappush(self._dues, (came_s + self._lateness_s, place))
        self._release(self._reached(now_s), released)
        return released

    def due(self, now_s: float) -> list[Record]:
        """What has waited long enough by `now_s`, after all that was captured before it."""
        released: list[Record] = []
        while (due_s := self.next_due_s()) is not None and due_s <= now_s:
            self._release(self._dues[0][1], released)
        while len(self._places) > _MAX_WAITING:
            self._release(self._places[0], released)
        return released

    def next_due_s(self) -> float | None:
        """When `due` has something at the latest; None if nothing waits."""
        while self._dues and self._dues[0][1] not in self._records:
            heappop(self._dues)
        return self._dues[0][0] if self._dues else None

    def flush(self) -> list[Record]:
        """All that waits, in order: nothing more will come."""
        released: list[Record] = []
        if self._places:
            self._release(max(self._places), released)
        return released

    def _reached(self, now_s: float) -> _Place | None:
        """How far all sources that are up have come; None if none is."""
        if len(self._up) > _MAX_SOURCES:
            del self._up[min(self._up, key=lambda source: self._up[source][1])]
        silent_since_s = now_s - _SILENT_S
        reached_ns = min(
            (at_ns for at_ns, heard_s in self._up.values() if heard_s > silent_since_s),
            default=None,
        )
        return None if reached_ns is None else (reached_ns + 1, "")

    def _release(self, place: _Place | None, released: list[Record]) -> None:
        """What waits up to and with `place`, or all."""
        while self._places and (place is None or self._places[0] <= place):
            passed = heappop(self._places)
            record = self._records.pop(passed)
            released.append(record)
            if self._last[passed[1]] == passed:
                del self._last[passed[1]]
            if isinstance(record, EmotionEvent):
                self._passed = passed
