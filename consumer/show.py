"""Records to standard output and to sinks, until there are no more."""

from __future__ import annotations

import logging
import select
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from consumer.jsonl import JsonLines
from consumer.output import OutputWatch
from consumer.people_table import PeopleTable
from consumer.play import Play
from consumer.show_settings import ShowSettings
from consumer.sinks.csv import CsvTable
from consumer.sinks.fan_out import FanOut
from consumer.sinks.sink import Sink, Unhurried
from consumer.table import EventTable
from consumer.turns import Records, turns
from contract.console import discard
from contract.event import EmotionEvent, Record
from contract.smoothed import Signal, SmoothedEvent

_log = logging.getLogger(__name__)

_LOOK_UP_S = 0.5  # how often to see, while nothing comes, whether anybody still reads our output


def show(
    records: Records,
    settings: ShowSettings,
    play: Play | None,
    stop: threading.Event,
    *,
    idle_s: float | None = None,
) -> None:
    """Until there are no more, `stop`, --count, or `idle_s` seconds without an event.

    play   open; needed for --smoothed

    Raises `BrokenPipeError` when nobody reads our output, and nothing else is to be done.
    """
    if flags := settings.without_effect:
        _log.warning(
            "without effect: %s; people are made of faces for --smoothed, --osc, --midi, --csv, "
            "--jsonl and --publish",
            ", ".join(flags),
        )
    with ExitStack() as stack:
        output = _standard_output(settings, stop, stack)
        left = settings.count
        for items, now_s in _items(records, settings, play, idle_s):
            for item in items:
                output.put([item], now_s)
                if left is not None and isinstance(item, EmotionEvent | SmoothedEvent):
                    left -= 1
                    if not left:
                        if play is not None:
                            play.flush(now_s)
                        return


def _items(
    records: Records, settings: ShowSettings, play: Play | None, idle_s: float | None
) -> Iterator[tuple[Sequence[Record | Signal], float]]:
    """What is to be shown, and when it came; what is played is played on the way."""
    came_s = time.monotonic()
    for turn in turns(records, play, min(_LOOK_UP_S, idle_s or _LOOK_UP_S)):
        if settings.smoothed:
            yield turn.signals, turn.now_s
        elif turn.record is not None and _is_shown(turn.record, settings):
            yield [turn.record], turn.now_s
        if isinstance(turn.record, EmotionEvent) or records.is_away:  # an outage is not silence
            came_s = turn.now_s
        elif turn.record is None:
            if idle_s is not None and turn.now_s - came_s >= idle_s:
                rest = [] if play is None else play.flush(turn.now_s)
                if settings.smoothed:
                    yield rest, turn.now_s
                return
            if not settings.has_sinks and _nobody_reads():
                raise BrokenPipeError


def _is_shown(record: Record, settings: ShowSettings) -> bool:
    return isinstance(record, EmotionEvent) or settings.format == "table" or settings.records


class _Output(Protocol):
    def put(self, items: Sequence[Any], now_s: float, /) -> None: ...


def _standard_output(settings: ShowSettings, stop: threading.Event, stack: ExitStack) -> _Output:
    sink: Sink[Signal] | Sink[Record]
    if not settings.smoothed:
        sink = (EventTable if settings.format == "table" else JsonLines)(sys.stdout)
    elif settings.format == "jsonl":
        sink = JsonLines(sys.stdout)
    else:
        people = PeopleTable if settings.format == "table" else CsvTable
        sink = people(sys.stdout, scale=settings.scale)
    if settings.has_sinks:  # whoever reads our output must not hold them up
        return stack.enter_context(FanOut([_Lasting(sink)]))
    return _Direct(sink, stop, stack)


class _Direct:
    """Writes at once, and so reads no faster than our output is read: nothing is lost."""

    def __init__(self, sink: Sink[Any], stop: threading.Event, stack: ExitStack) -> None:
        self._sink = sink
        self._watch = OutputWatch(stop)
        self._watch.start()
        stack.callback(sink.close)

    def put(self, items: Sequence[Any], now_s: float) -> None:
        with self._watch.writing():
            for item in items:
                self._sink.write(item, now_s)


class _Lasting(Unhurried):
    """Falls silent when nobody reads any more: what is played goes on."""

    def __init__(self, sink: Sink[Any]) -> None:
        self.name = sink.name
        self._sink = sink

    def write(self, item: Any, now_s: float) -> None:
        try:
            self._sink.write(item, now_s)
        except BrokenPipeError:
            discard(sys.stdout)

    def close(self) -> None:
        try:
            self._sink.close()
        except BrokenPipeError:
            discard(sys.stdout)


def _nobody_reads() -> bool:
    """Whether our standard output is a pipe whose other end was closed."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError):  # no poll here, or no real file behind stdout
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
