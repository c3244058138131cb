"""Pictures that wait for their event, and the newest that have it. No I/O.

A frame is tapped when it is published; what is in it is known when a worker is done with it, some
milliseconds later or, with a backlog, many seconds. A picture is shown with its own boxes or not at
all.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from contract.frame import FrameMessage
from contract.smoothed import SmoothedEvent

MOST_WAITING = 16  # pictures of one source
MOST_WAITING_BYTES = 8 * 2**20  # of one source; no picture has more
_KEPT = 3  # with their event: a page may still ask for the one before


@dataclass(slots=True)
class _Shelf:
    """The pictures of one source, the oldest first."""

    waiting: deque[FrameMessage] = field(default_factory=deque)
    shown: deque[FrameMessage] = field(default_factory=lambda: deque(maxlen=_KEPT))
    event: SmoothedEvent | None = None  # of the newest that is shown
    every: int = 1  # of the tapped pictures so many go by for one that waits
    tapped: int = 0

    def put(self, frame: FrameMessage) -> None:
        """With a backlog too long for all pictures, the ones that wait are spread evenly over it,
        so that the page goes on slowly and not in fits."""
        self.tapped += 1
        if self.tapped % self.every:
            return
        while self._is_full(len(frame.image)):
            if len(self.waiting) == 1:
                if self.waiting[0].session == frame.session:
                    return  # its event comes first
                self.waiting.clear()
            self.waiting = deque(list(self.waiting)[::2])
            self.every *= 2
        self.waiting.append(frame)

    def take(self) -> FrameMessage:
        """The one that waits longest."""
        if len(self.waiting) <= MOST_WAITING // 4:
            self.every = max(1, self.every // 2)
        return self.waiting.popleft()

    def _is_full(self, size: int) -> bool:
        if not self.waiting:
            return False
        total = sum(len(frame.image) for frame in self.waiting) + size
        return len(self.waiting) >= MOST_WAITING or total > MOST_WAITING_BYTES


class Album:
    """Matches tapped frames with smoothed events by their id."""

    def __init__(self) -> None:
        self._shelves: dict[str, _Shelf] = {}

    def put(self, frame: FrameMessage) -> None:
        """A tapped frame; those of one source in their order."""
        self._shelves.setdefault(frame.source, _Shelf()).put(frame)

    def match(self, event: SmoothedEvent) -> bool:
        """Whether this event's picture was there: it is the one to show from now on.

        Events of a source come in capture order, so a picture before this one will never have its
        event: the frame was dropped, or its event came too late.
        """
        shelf = self._shelves.get(event.source)
        if shelf is None:
            return False
        # Waiting are pictures of this session and, after a restart of the producer, of later ones.
        sessions = [frame.session for frame in shelf.waiting]
        if event.session not in sessions:
            return False
        for _ in range(sessions.index(event.session)):
            shelf.take()
        while (
            shelf.waiting
            and shelf.waiting[0].session == event.session
            and shelf.waiting[0].seq <= event.seq
        ):
            frame = shelf.take()
            if frame.seq == event.seq:
                shelf.shown.append(frame)
                shelf.event = event
                return True
        return False

    def shown(self, source: str) -> SmoothedEvent | None:
        """The event of the newest picture that has one."""
        shelf = self._shelves.get(source)
        return None if shelf is None else shelf.event

    def jpeg(self, frame_id: str) -> bytes | None:
        """A picture that is shown, or was a moment ago."""
        shelf = self._shelves.get(frame_id.partition("/")[0])
        shown = [] if shelf is None else shelf.shown
        return next((frame.image for frame in shown if frame.id == frame_id), None)

    def clear_waiting(self) -> None:
        """Nobody looks any more: what waits would be old when somebody looks again."""
        for shelf in self._shelves.values():
            shelf.waiting.clear()
            shelf.every = 1

    def forget(self, source: str) -> None:
        """The source is gone from the page."""
        self._shelves.pop(source, None)
