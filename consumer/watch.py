"""`emotion-events`: read from a running system, show, and play."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from consumer.play import Play
from consumer.reader import EventReader
from consumer.settings import EventsSettings
from consumer.show import show


def watch(settings: EventsSettings, stop: threading.Event) -> None:
    """Until `stop`, --count or --idle. Raises `BrokenPipeError` when nobody reads our output."""
    with ExitStack() as stack:
        play = None
        if settings.plays:
            play = stack.enter_context(Play(settings, settings.redis, settings.prefix))
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
        show(reader, settings, play, stop, idle_s=settings.idle)
