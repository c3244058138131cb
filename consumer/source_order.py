"""One source in capture order: its sessions, one after the other, and their frames. No I/O.

How long what came before its turn may wait:

- an event, `lateness_s` from its own arrival. Then it goes, whatever is missing before it; several
  gaps do not add up.
- the end of a session (``ended``, ``offline``), until all the frames it counts are out. A producer
  writes it past those that still queue for workers, so it is no sign of a loss. They are given up
  when no event has come for a while: 15 s after ``ended``, for what a killed worker held comes back
  within 13 s; 2 s after ``offline``, for a live frame is worth no more. Of a session that ended
  before its first event the workers may not run yet: nothing of it is given up.
- the start of the next session, for that end. If there is none (the producer was killed), as long
  as an ``ended`` would.
- an event of the next session that has waited `lateness_s` gives up all that is before it.
"""

from __future__ import annotations

from consumer.session_frames import SessionFrames, Waited
from contract.event import EmotionEvent, Record

_ENDED_WAIT_S = 15.0
_OFFLINE_WAIT_S = 2.0
_MAX_WAITING = 4096
_MAX_SESSIONS = 64
_MAX_FINISHED = 8  # sessions that are remembered, so that their late events begin no new one


class SourceOrder:
    """What `consumer.order.Order` does, for one source. Times are monotonic seconds.

    late      records that came after their place was passed
    missing   frames given up that have not come since
    last_s    when anything came last
    is_empty  whether nothing waits
    """

    def __init__(self, lateness_s: float) -> None:
        self.late = 0
        self.missing = 0
        self.last_s = 0.0
        self.is_empty = True
        self._lateness_s = lateness_s
        self._sessions: dict[str, SessionFrames] = {}  # in their order; the first is the current
        self._finished: dict[str, SessionFrames] = {}
        self._last_event_s = 0.0
        self._newest_ns = 0  # wall clock, of what was accepted

    def put(self, record: Record, now_s: float, until_s: float) -> list[Waited]:
        """Take a record that came at `now_s`, when all that came until `until_s` was put; returns
        what may go on, in order."""
        self.last_s = now_s
        if self.is_empty and isinstance(record, EmotionEvent):
            # The usual case: nothing waits, and it is the next one.
            session = self._sessions.get(record.session)
            if (
                session is not None
                and record.seq == session.next_seq
                and session.first_seq is not None
            ):
                session.next_seq += 1
                self._last_event_s = now_s
                self._newest_ns = record.captured_at_ns
                return [Waited(now_s, record)]
        if not self._accept(record, now_s):
            self.late += 1
            return []
        released = self.due(until_s)
        while self._is_too_full():
            self._give_up_first_gap(released)
        return released

    def due(self, now_s: float) -> list[Waited]:
        """What nothing is missing before, and what has waited long enough."""
        released: list[Waited] = []
        self._release_next(released)
        while (overdue := self._overdue(now_s)) is not None:
            session, seq = overdue
            while (first := self._current()) is not session:
                self._finish(first, released)
            if seq is None:
                self._finish(session, released)
            else:
                self.missing += session.release_to(seq, released)
            self._release_next(released)
        return released

    def next_due_s(self) -> float | None:
        """When something will have waited long enough, if nothing else comes."""
        times_s = [
            oldest[0] + self._lateness_s
            for session in self._sessions.values()
            if (oldest := session.oldest) is not None
        ]
        end_due_s = self._end_due_s()
        if end_due_s is not None:
            times_s.append(end_due_s)
        return min(times_s, default=None)

    def flush(self) -> list[Waited]:
        """All that waits, in order."""
        released: list[Waited] = []
        while len(self._sessions) > 1 or (self._sessions and self._current().end is not None):
            self._finish(self._current(), released)
        if self._sessions:  # it may go on after all
            self.missing += self._current().release_to(None, released)
        self.is_empty = True
        return released

    def _accept(self, record: Record, now_s: float) -> bool:
        """Hold it, unless its place was passed."""
        is_event = isinstance(record, EmotionEvent)
        at_ns = record.captured_at_ns if isinstance(record, EmotionEvent) else record.at_ns
        session = self._sessions.get(record.session)
        if session is None and record.session not in self._finished:
            # One whose start was not seen may be old, and forgotten.
            is_start = not isinstance(record, EmotionEvent) and record.state == "started"
            is_silent = now_s - self._last_event_s >= _ENDED_WAIT_S
            if not (is_start or at_ns >= self._newest_ns or is_silent):
                return False
            session = self._sessions[record.session] = SessionFrames(now_s)
            self._newest_ns = at_ns
        if session is None:
            session = self._finished[record.session]
        if record.session in self._finished or not session.hold(record, now_s):
            self.missing -= session.found(record)
            return False
        if is_event:
            self._last_event_s = now_s
        self._newest_ns = max(at_ns, self._newest_ns)
        return True

    def _overdue(self, now_s: float) -> tuple[SessionFrames, int | None] | None:
        """What has waited long enough: an event by its seq, or (None) the end of its session."""
        for session in self._sessions.values():
            oldest = session.oldest
            if oldest is not None and oldest[0] + self._lateness_s <= now_s:
                return session, oldest[1]
        end_due_s = self._end_due_s()
        return None if end_due_s is None or end_due_s > now_s else (self._current(), None)

    def _end_due_s(self) -> float | None:
        """When the current session is over although frames of it are missing."""
        sessions = iter(self._sessions.values())
        current, following = next(sessions, None), next(sessions, None)
        if current is None:
            return None
        if current.is_offline and current.end is not None:
            came_s, wait_s = current.end.came_s, _OFFLINE_WAIT_S
        elif current.is_untouched:
            return None
        elif current.end is not None:
            came_s, wait_s = current.end.came_s, _ENDED_WAIT_S
        elif following is not None:
            came_s, wait_s = following.came_s, _ENDED_WAIT_S
        else:
            return None
        return max(came_s, self._last_event_s) + max(wait_s, self._lateness_s)

    def _release_next(self, released: list[Waited]) -> None:
        """All that nothing is missing before."""
        while self._sessions:
            session = self._current()
            session.release_next(released)
            if not session.is_complete:
                break
            self._finish(session, released)
        self.is_empty = not self._sessions or (
            len(self._sessions) == 1 and not session.waiting and session.end is None
        )

    def _is_too_full(self) -> bool:
        sessions = self._sessions.values()
        return (
            len(sessions) > _MAX_SESSIONS
            or sum(session.waiting for session in sessions) > _MAX_WAITING
        )

    def _give_up_first_gap(self, released: list[Waited]) -> None:
        session = self._current()
        if session.lowest is None:
            self._finish(session, released)
        else:
            self.missing += session.release_to(session.lowest, released)
        self._release_next(released)

    def _current(self) -> SessionFrames:
        return next(iter(self._sessions.values()))

    def _finish(self, session: SessionFrames, released: list[Waited]) -> None:
        """All of the current session; what comes of it later is late."""
        self.missing += session.finish(released)
        name = next(iter(self._sessions))
        self._finished[name] = self._sessions.pop(name)
        if len(self._finished) > _MAX_FINISHED:
            del self._finished[next(iter(self._finished))]
