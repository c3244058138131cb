"""What the threads that read Redis and the pages that are open share."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from consumer.status import Status
from consumer.view.album import Album
from consumer.view.board import Board
from contract.frame import FrameMessage
from contract.smoothed import Signal, SmoothedEvent


class Hub:
    """The board and the album behind one lock, and how many pages look at them.

    watched   set while a page is open: only then are frames tapped and counts asked for
    closing   set when the server ends: open pages are let go
    """

    def __init__(self, board: Board, most_pages: int = 32) -> None:
        self._board = board
        self._album = Album()
        self._most_pages = most_pages
        self._lock = threading.Lock()
        self._pages = 0
        self._changes = 0
        self._told = (-1, b"")  # the newest message, and of which change it is
        self.watched = threading.Event()
        self.closing = threading.Event()

    def take(self, signals: Sequence[Signal]) -> None:
        """Signals came from the chain."""
        if not signals:
            return
        now_s = time.monotonic()
        with self._lock:
            for signal in signals:
                self._board.take(signal, now_s)
                if isinstance(signal, SmoothedEvent):
                    self._album.match(signal)
            self._changes += 1

    def put_frame(self, frame: FrameMessage) -> None:
        """A frame was tapped."""
        with self._lock:
            if frame.source in self._board.names:
                self._album.put(frame)

    def see_status(self, status: Status) -> None:
        """Redis has answered."""
        with self._lock:
            before = self._board.names
            self._board.see_status(status, time.monotonic())
            for gone in before - self._board.names:
                self._album.forget(gone)
            self._changes += 1

    def see_trouble(self, detail: str) -> None:
        """Redis has not answered, or refused."""
        with self._lock:
            self._board.see_trouble(detail, time.time_ns())
            self._changes += 1

    def playing(self) -> frozenset[str]:
        """The sources that are up."""
        with self._lock:
            return self._board.playing

    def jpeg(self, frame_id: str) -> bytes | None:
        """The picture with this id, if it is on the page or was a moment ago."""
        with self._lock:
            return self._album.jpeg(frame_id)

    def message(self, seen: int, *, renew: bool = False) -> tuple[int, bytes] | None:
        """The state of now as JSON, and its number; None if nothing has changed since `seen`,
        unless it is to be `renew`ed: the time goes on. Made once for all pages."""
        with self._lock:
            self._changes += renew
            if self._changes == seen:
                return None
            if self._told[0] != self._changes:
                pictures = {
                    name: event
                    for name in self._board.names
                    if (event := self._album.shown(name)) is not None
                }
                state = self._board.state(time.monotonic(), time.time_ns(), pictures)
                text = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
                self._told = (self._changes, text.encode())
            return self._told

    @property
    def is_full(self) -> bool:
        """Whether as many pages are open as are served at a time."""
        return self._pages >= self._most_pages

    @contextmanager
    def page(self) -> Iterator[None]:
        """A page is open during the block."""
        with self._lock:
            self._pages += 1
            self.watched.set()
        try:
            yield
        finally:
            with self._lock:
                self._pages -= 1
                if not self._pages:
                    self.watched.clear()
                    self._album.clear_waiting()
