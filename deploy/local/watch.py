"""One turn after the other: look after the parts, take in what comes, show it."""

from __future__ import annotations

import sys
import time

from contract.console import discard
from contract.errors import BrokerError
from deploy.local.child import PartFailed
from deploy.local.collect import Collector
from deploy.local.counts import RunCounts
from deploy.local.feed import Feed
from deploy.local.parts import Parts
from deploy.local.status import Status
from deploy.local.view import View

TICK_S = 0.12  # between two pictures; more often is unrest, not information
COUNT_EVERY_S = 0.5
LAST_EVENTS_S = 0.3  # to read what was settled while the parts ended
SERVER_DEATH_S = 3.0  # until the supervisor is sure of it
LOADING_LIMIT_S = 600.0  # TensorFlow takes seconds, a GPU met for the first time minutes


class Watch:
    """Call `turn` until `is_done`, then `last_look` when the parts have stopped."""

    def __init__(
        self, parts: Parts, feed: Feed, run_counts: RunCounts, collector: Collector, view: View
    ) -> None:
        self._parts = parts
        self._feed = feed
        self._run_counts = run_counts
        self._collector = collector
        self._view = view
        self._started_s = self._running_since_s = time.monotonic()
        self._counted_s = float("-inf")
        self._is_settled = False
        self._told_url = False
        self.is_done = False
        """The producer has ended, all its frames are settled and all their events are here."""

    def turn(self) -> None:
        """Takes about `TICK_S`. Raises `PartFailed` when a part has died or does not get ready."""
        self._parts.check()
        if not self._parts.all_workers_ready:
            self._check_loading()
        try:
            self._take_in(TICK_S)
            self._count()
        except BrokerError:
            # Is it our own server that has gone? Then that is the news.
            self._parts.check_server(SERVER_DEATH_S)
            raise
        self._pass_on_notes()
        self._tell_url()
        self.show("running" if self._parts.producer_started else "loading")
        # In this order: once the frames are settled no event can be missing behind `newest_event`.
        if self._is_settled and self._feed.has_read(self._run_counts.newest_event):
            self._take_in(0.0)
            self.is_done = True

    def show(self, phase: str) -> None:
        """Draw the picture of the moment."""
        now_s = time.monotonic()
        if phase == "loading":
            self._running_since_s = now_s
            since_s = self._started_s
        else:
            since_s = self._running_since_s
        status = Status(
            phase,
            self._parts.workers,
            self._parts.workers_ready,
            self._run_counts.counts,
            now_s - since_s,
        )
        self._view.show(self._collector.tally, status, now_s)

    def last_look(self) -> None:
        """Take in what the parts settled while they ended, and the final counts."""
        if self._run_counts.refresh(time.monotonic()):
            self._run_counts.look_for_events()
        deadline_s = time.monotonic() + LAST_EVENTS_S
        while time.monotonic() < deadline_s:
            if self._feed.has_read(self._run_counts.newest_event):
                break
            self._take_in(0.02)
        self._take_in(0.0)
        self._pass_on_notes()

    def _check_loading(self) -> None:
        waited_s = time.monotonic() - self._started_s
        if waited_s > LOADING_LIMIT_S:
            ready = f"{self._parts.workers_ready} of {self._parts.workers} workers are ready"
            raise PartFailed(f"{ready} after {waited_s:.0f} s")

    def _tell_url(self) -> None:
        if not self._told_url and (url := self._parts.view_url) is not None:
            self._told_url = True
            self._view.say(f"  watch:       {url}")

    def _pass_on_notes(self) -> None:
        for note in self._parts.notes():
            try:
                print(note, file=sys.stderr)
            except BrokenPipeError:  # as with stdout, nobody reads it: the run goes on
                discard(sys.stderr)

    def _take_in(self, timeout_s: float) -> None:
        self._collector.add(self._feed.take(timeout_s), time.monotonic())
        self._collector.see(self._feed.take_signals())

    def _count(self) -> None:
        now_s = time.monotonic()
        if now_s - self._counted_s < COUNT_EVERY_S and not self._parts.producer_ended:
            return
        self._counted_s = now_s
        if self._run_counts.refresh(now_s) and self._parts.producer_ended:
            self._is_settled = self._run_counts.all_settled()
