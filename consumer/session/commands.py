"""`emotion-events record` and `emotion-events replay`."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack

from consumer.files import check_outputs
from consumer.play import Play
from consumer.reader import EventReader
from consumer.session.player import Player
from consumer.session.progress import RecordProgress
from consumer.session.reader import SessionReader
from consumer.session.settings import RecordSettings, ReplaySettings
from consumer.session.writer import SessionWriter
from consumer.show import show
from contract.console import discard
from contract.errors import UsageError
from contract.event import EmotionEvent
from contract.process.command import run_command
from contract.process.stop import stop_on_signals

_LOOK_UP_S = 0.25  # how often to flush and to look at the clock while nothing comes


def record_main(argv: Sequence[str]) -> int:
    """Run `emotion-events record`; returns its exit code."""
    return run_command(RecordSettings, "emotion-events record", _record, argv)


def replay_main(argv: Sequence[str]) -> int:
    """Run `emotion-events replay`; returns its exit code."""
    return run_command(ReplaySettings, "emotion-events replay", _replay, argv)


def _record(settings: RecordSettings) -> int:
    stop = stop_on_signals()
    progress = RecordProgress()
    with EventReader(
        settings.redis,
        start=settings.from_,
        prefix=settings.prefix,
        sources=settings.source or None,
        redis_timeout_s=settings.redis_timeout,
        stop=stop,
    ) as reader:
        began_ns = time.monotonic_ns()
        with (
            SessionWriter(
                settings.file, started_at_ns=time.time_ns(), overwrite=settings.force
            ) as session,
            progress,
        ):
            duration_ns = _record_events(settings, stop, reader, session, progress, began_ns)
            session.finish(duration_ns)
    size = settings.file.stat().st_size
    print(f"{settings.file}: {progress.summary(duration_ns / 1e9, size)}", file=sys.stderr)
    return 0


def _record_events(
    settings: RecordSettings,
    stop: threading.Event,
    reader: EventReader,
    session: SessionWriter,
    progress: RecordProgress,
    began_ns: int,
) -> int:
    """Returns how long it took since monotonic `began_ns`, in nanoseconds."""
    most_ns = None if settings.for_ is None else round(settings.for_ * 1e9)
    last_event_ns = at_ns = 0
    while not stop.is_set():
        record = reader.next_record(_LOOK_UP_S)
        at_ns = time.monotonic_ns() - began_ns
        if most_ns is not None and at_ns >= most_ns:
            return most_ns
        if record is None:
            session.tick(at_ns)
        else:
            session.write(record, at_ns)
            progress.sources.add(record.source)
        if isinstance(record, EmotionEvent):
            last_event_ns = at_ns
            progress.events += 1
            if progress.events == settings.count:
                return at_ns
        elif reader.is_away:  # an outage is not silence
            last_event_ns = at_ns
        elif settings.idle is not None and at_ns - last_event_ns >= settings.idle * 1e9:
            return at_ns
        if progress.is_due():
            progress.show(at_ns / 1e9, session.size_bytes)
    return at_ns


def _replay(settings: ReplaySettings) -> int:
    stop = stop_on_signals()
    session = SessionReader(settings.file)
    shift_ns = 0
    if settings.now:
        shift_ns = time.time_ns() - session.header.started_at_ns - round(settings.from_ * 1e9)
    is_unpaced = settings.speed == math.inf
    if is_unpaced and settings.osc and settings.rate:
        raise UsageError("--osc: an even rate needs a --speed, got max; or --rate 0")
    check_outputs(settings.outputs, [str(settings.file)])
    player = Player(
        session,
        stop=stop,
        speed="max" if is_unpaced else settings.speed,
        from_s=settings.from_,
        loop=settings.loop,
        shift_ns=shift_ns,
        sources=settings.source or None,
    )
    try:
        with ExitStack() as stack:
            play = None
            if settings.plays:
                speed = 1.0 if is_unpaced else settings.speed
                play = Play(settings, settings.redis, settings.prefix, speed=speed)
                stack.enter_context(play)
            show(player, settings, play, stop)
    except BrokenPipeError:  # `emotion-events replay FILE | head`: the reader has what it wanted
        discard(sys.stdout)
    if not stop.is_set() and settings.from_ > session.duration_s:  # known now that it was read
        raise UsageError(
            f"--from: the recording lasts {session.duration_s:.1f} s, got {settings.from_:g} s"
        )
    return 0
