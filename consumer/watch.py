"""`emotion-events`: read, show, and play."""

from __future__ import annotations

import select
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Protocol

from consumer.jsonl import JsonLines
from consumer.output import OutputWatch
from consumer.people_table import PeopleTable
from consumer.play import Play
from consumer.reader import EventReader
from consumer.settings import EventsSettings
from consumer.sinks.csv import CsvTable
from consumer.sinks.fan_out import FanOut
from consumer.sinks.lines import SignalLines
from consumer.sinks.printed import Printed
from consumer.sinks.sink import Sink
from consumer.table import EventTable
from contract.event import EmotionEvent, Record
from contract.smoothed import Signal, SmoothedEvent

_LOOK_UP_S = 0.5  # how often to see, while nothing comes, whether anybody still reads our output


def watch(settings: EventsSettings, stop: threading.Event) -> None:
    """Until `stop`, --count or --idle. Raises `BrokenPipeError` when nobody reads our output."""
    with ExitStack() as stack:
        play = None
        if settings.smoothed or settings.has_sinks:
            play = stack.enter_context(Play(settings, settings.redis, settings.prefix))
        shown = _standard_output(settings, stop, stack)
        reader = stack.enter_context(
            EventReader(
                settings.redis,
                start=settings.from_,
                group=settings.group,
                prefix=settings.prefix,
                sources=settings.source or None,
                redis_timeout_s=settings.redis_timeout,
                stop=stop,
            )
        )
        left = settings.count
        came_s = time.monotonic()
        while not stop.is_set():
            now_s = time.monotonic()
            wait_s = min(_LOOK_UP_S, settings.idle or _LOOK_UP_S)
            record = reader.next_record(wait_s if play is None else play.wait_s(now_s, wait_s))
            now_s = time.monotonic()
            items: Sequence[Any] = (
                [] if record is None or not _is_shown(record, settings) else [record]
            )
            if play is not None:
                signals = [*play.due(now_s), *([] if record is None else play.put(record, now_s))]
                items = signals if settings.smoothed else items
            for item in items:
                shown.put([item], now_s)
                if left is not None and isinstance(item, EmotionEvent | SmoothedEvent):
                    left -= 1
                    if not left:
                        return
            if isinstance(record, EmotionEvent) or reader.is_away:  # an outage is not silence
                came_s = now_s
            elif record is None:
                if settings.idle is not None and now_s - came_s >= settings.idle:
                    break
                if _nobody_reads():
                    raise BrokenPipeError
        if play is not None:
            rest = play.flush(time.monotonic())
            if settings.smoothed:
                shown.put(rest, time.monotonic())


def _is_shown(record: Record, settings: EventsSettings) -> bool:
    return isinstance(record, EmotionEvent) or settings.format == "table" or settings.records


class _Shown(Protocol):
    """Standard output."""

    def put(self, items: Sequence[Any], now_s: float, /) -> None: ...


def _standard_output(settings: EventsSettings, stop: threading.Event, stack: ExitStack) -> _Shown:
    sink: Sink[Signal] | Sink[Record]
    if settings.smoothed:
        sink = {"table": PeopleTable, "jsonl": SignalLines, "csv": CsvTable}[settings.format](
            sys.stdout
        )
    else:
        sink = Printed((EventTable if settings.format == "table" else JsonLines)(sys.stdout))
    if settings.has_sinks:  # whoever reads our output must not hold them up
        return stack.enter_context(FanOut([sink]))
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


def _nobody_reads() -> bool:
    """Whether our standard output is a pipe whose other end was closed."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError):  # no poll here, or no real file behind stdout
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
