"""`emotion-events`: settings in, objects wired, exit code out."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from consumer.session.commands import record_main, replay_main
from consumer.settings import EventsSettings, StatusSettings
from consumer.status import print_json, print_table, read_status
from consumer.watch import watch
from contract.connect import check, connect, explained
from contract.console import discard
from contract.process.command import run_command
from contract.process.stop import stop_on_signals
from contract.redact import redacted


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
        watch(settings, stop)
    except BrokenPipeError:  # `emotion-events | head`: the reader has what it wanted
        discard(sys.stdout)
    return 0


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
