"""`emotion-events`: settings in, objects wired, exit code out."""

from __future__ import annotations

import io
import select
import sys
import threading
from collections.abc import Sequence

from consumer.jsonl import JsonLines
from consumer.output import OutputWatch
from consumer.reader import EventReader
from consumer.session.commands import record_main, replay_main
from consumer.settings import EventsSettings, StatusSettings
from consumer.status import print_json, print_table, read_status
from consumer.table import EventTable
from contract.connect import check, connect, explained
from contract.console import discard
from contract.event import EmotionEvent
from contract.process.command import run_command
from contract.process.stop import stop_on_signals
from contract.redact import redacted

_LOOK_UP_S = 0.5  # how often to see, while nothing comes, whether anybody still reads our output


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # JSON is UTF-8 whatever the locale says, and a table must not die of a Korean name.
        sys.stdout.reconfigure(encoding="utf-8")
    # Not a subcommand of the settings library: that one would not read EMOTION_REDIS for it.
    if arguments[:1] == ["status"]:
        return run_command(StatusSettings, "emotion-events status", _status, arguments[1:])
    if arguments[:1] == ["record"]:
        return record_main(arguments[1:])
    if arguments[:1] == ["replay"]:
        return replay_main(arguments[1:])
    return run_command(EventsSettings, "emotion-events", _watch, arguments)


def _watch(settings: EventsSettings) -> int:
    stop = stop_on_signals()
    try:
        _write_events(settings, stop)
    except BrokenPipeError:  # `emotion-events | head`: the reader has what it wanted
        discard(sys.stdout)
    return 0


def _write_events(settings: EventsSettings, stop: threading.Event) -> None:
    table = settings.format == "table"
    sink = EventTable(sys.stdout) if table else JsonLines(sys.stdout)
    output = OutputWatch(stop)
    output.start()
    left = settings.count
    # The loop below ends after each `silence_s`; an outage of Redis is not silence.
    silence_s = min(_LOOK_UP_S, settings.idle or _LOOK_UP_S)
    silent_s = 0.0
    with EventReader(
        settings.redis,
        start=settings.from_,
        group=settings.group,
        prefix=settings.prefix,
        sources=settings.source or None,
        redis_timeout_s=settings.redis_timeout,
        idle_s=silence_s,
        stop=stop,
    ) as reader:
        while not stop.is_set():
            for record in reader.records():
                is_event = isinstance(record, EmotionEvent)
                if is_event or table or settings.records:
                    with output.writing():
                        sink.write(record)
                if is_event:
                    silent_s = 0.0
                    if left is not None:
                        left -= 1
                        if not left:
                            return
            silent_s += silence_s
            if settings.idle is not None and silent_s >= settings.idle:
                return
            if _nobody_reads():
                raise BrokenPipeError


def _status(settings: StatusSettings) -> int:
    client = connect(settings.redis, retries=0)  # whoever waits for the answer asks again
    try:
        check(client, settings.redis)
        with explained(settings.redis):
            status = read_status(client, settings.prefix)
    finally:
        client.close()
    try:
        if settings.format == "json":
            print_json(status, sys.stdout)
        else:
            print_table(status, sys.stdout, server=redacted(settings.redis), prefix=settings.prefix)
    except BrokenPipeError:
        discard(sys.stdout)
    return 0


def _nobody_reads() -> bool:
    """Whether our standard output is a pipe whose other end was closed."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (AttributeError, OSError):  # no poll here, or no real file behind stdout
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
