"""What the user sees while the system runs: a live picture, plain lines, or nothing."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.live import Live

from deploy.local.render import Renderer
from deploy.local.status import Status
from deploy.local.tally import SourceTally, Tally, share_of

PLAIN_EVERY_S = 0.5  # of one source's lines in a log


class View(AbstractContextManager["View"], Protocol):
    """Shows the tally of the moment; called a few times a second."""

    def show(self, tally: Tally, status: Status, now_s: float) -> None: ...

    def say(self, text: str) -> None:
        """Something for the user to know, once."""


def make_view(console: Console, *, quiet: bool) -> View:
    """The picture on a terminal, lines in a log, nothing if `quiet`."""
    if quiet:
        return QuietView()
    return LiveView(console) if console.is_terminal else PlainView(console)


class LiveView(View):
    """A picture that is drawn over and over, and gone at the end: the summary takes its place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._renderer = Renderer()
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            # What goes to stderr appears above the picture, unless somebody keeps it in a file.
            redirect_stderr=sys.stderr.isatty(),
        )

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def show(self, tally: Tally, status: Status, now_s: float) -> None:
        width, height = self._console.size
        self._live.update(
            self._renderer.draw(tally, status, now_s, width=width, height=height), refresh=True
        )

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()


class PlainView(View):
    """A line when something changes and at most two a second per source: fit for a log."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._shown: dict[str, tuple[float, int]] = {}  # source -> (when, events by then)
        self._states: dict[str, str] = {}

    def show(self, tally: Tally, status: Status, now_s: float) -> None:
        if status.phase != self._phase:
            self._phase = status.phase
            self.say({"loading": "loading the model", "running": "running"}.get(status.phase, ""))
        for source in tally.sources.values():
            shown_s, events = self._shown.get(source.source, (float("-inf"), 0))
            if source.events > events and now_s - shown_s >= PLAIN_EVERY_S:
                self._shown[source.source] = (now_s, source.events)
                self.say(_line(source, now_s))
            if self._states.setdefault(source.source, source.state) != source.state:
                self._states[source.source] = source.state
                self.say(f"{source.source}: {source.state}")

    def say(self, text: str) -> None:
        if text:
            self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass


class QuietView(View):
    """Nothing but the summary."""

    def show(self, tally: Tally, status: Status, now_s: float) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass


def _line(source: SourceTally, now_s: float) -> str:
    """``clip  3.40 s  happiness 81%, neutral 54%  (24.8 frames/s, 62 ms)``"""
    window = source.window(now_s)
    latest = source.latest
    media = f"  {latest.pts_ns / 1e9:.2f} s" if latest and latest.pts_ns is not None else ""
    people = ", ".join(f"{p.label} {share_of(p):.0%}" for p in source.people) or "nobody"
    latency = f", {window.latency.p50_s * 1e3:.0f} ms" if window.latency else ""
    done = f"{min(1.0, source.events / source.total):.0%}, " if source.total else ""
    return f"{source.source}{media}  {people}  ({done}{window.frames_per_s:.1f} frames/s{latency})"
