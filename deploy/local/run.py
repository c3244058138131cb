"""`emotion-up`'s whole story: start the parts, show what they find, end them in order."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import ExitStack

from consumer.files import check_outputs
from consumer.play import Play
from contract.connect import check, connect
from contract.console import LastingConsole
from contract.errors import SourceError
from contract.keys import DEFAULT_PREFIX
from contract.process.stop import stop_on_signals
from contract.redact import redacted
from deploy.local.annotate import Sightings
from deploy.local.collect import Collector
from deploy.local.counts import RunCounts
from deploy.local.events_file import EventsFile
from deploy.local.feed import Feed
from deploy.local.parts import BAD_SOURCE, Parts
from deploy.local.settings import EMBEDDED, UpSettings
from deploy.local.summary import summarise
from deploy.local.videos import AnnotatedVideos
from deploy.local.view import make_view
from deploy.local.watch import Watch
from producer.source import Source, find_sources

INTERRUPTED = 130  # what shells expect after Ctrl-C


def run(settings: UpSettings) -> int:
    """Do it all; returns the exit code."""
    sources = find_sources(settings.source, settings.source_id)
    videos = AnnotatedVideos(settings.annotate, sources) if settings.annotate else None
    outputs = [("--events", settings.events)] if settings.events else []
    outputs += settings.outputs
    outputs += [("--annotate", path) for path in videos.outputs] if videos else []
    check_outputs(outputs, settings.source)
    if settings.redis != EMBEDDED:
        with connect(settings.redis) as client:
            check(client, settings.redis)

    stop = stop_on_signals()
    console = LastingConsole()
    with ExitStack() as stack:
        events_file = stack.enter_context(EventsFile(settings.events)) if settings.events else None
        recordings = stack.enter_context(videos.recordings()) if videos else None
        collector = Collector(events_file, Sightings() if videos else None)

        parts = stack.enter_context(Parts(settings))
        run_counts = RunCounts(stack.enter_context(connect(parts.url)), parts.url, settings.prefix)
        ids = [source.id for source in sources]
        # Closed before the summary: an annotated video takes minutes, and a note is held no longer
        # than somebody is there.
        with (
            Play(settings, parts.url, settings.prefix) as play,
            Feed(parts.url, settings.prefix, run_counts.newest_event, ids, play) as feed,
            make_view(console, quiet=settings.quiet) as view,
        ):
            view.say(_read_along(parts.url, settings.prefix))
            watch = Watch(parts, feed, run_counts, collector, view)
            parts.start_workers()
            if settings.view:
                parts.start_view()
            # The workers take seconds to load TensorFlow, and all cores. A video that began before
            # that would have the loading in its latency. What can't be played need not wait.
            at_once = not _can_play(sources)
            while not stop.is_set() and not watch.is_done:
                if not parts.producer_started and (at_once or parts.all_workers_ready):
                    parts.start_producer(recordings)
                watch.turn()
            was_interrupted = not watch.is_done
            watch.show("stopping")
            parts.stop()
            watch.last_look()

        if collector.tally.sources:
            summary = summarise(
                collector.tally, run_counts.counts, realtime=settings.realtime, missed=feed.missed
            )
            console.print(summary)
        elif was_interrupted:
            _say(console, "nothing was seen")
        if events_file is not None and collector.tally.events:
            events_file.finish()
            _say(console, f"{events_file.count} events in {events_file.path}")
        if videos and recordings and collector.sightings:
            for path in videos.write(recordings, collector.sightings, console):
                _say(console, f"annotated video in {path}")
    if was_interrupted and not _is_endless(sources, loop=settings.loop):
        return INTERRUPTED
    return BAD_SOURCE if parts.had_bad_sources else 0


def _read_along(url: str, prefix: str) -> str:
    """How to use the same server from another terminal."""
    flag = "" if prefix == DEFAULT_PREFIX else f" --prefix {prefix}"
    if redacted(url) == url:
        command = f"emotion-events --redis {shlex.quote(url)}{flag}"
    else:  # a secret is in it, which the user knows
        command = f"EMOTION_REDIS=... emotion-events{flag}"
    return f"  listening on {redacted(url)}\n  read along:  {command}"


def _say(console: LastingConsole, text: str) -> None:
    console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)


def _is_endless(sources: Sequence[Source], *, loop: bool) -> bool:
    """Whether the work is only ever over when the user says so."""
    return loop or all(source.kind != "file" for source in sources)


def _can_play(sources: Sequence[Source]) -> bool:
    """Whether any source looks usable; a camera or a URL does until it is tried."""
    for source in sources:
        if source.kind != "file" or source.is_pipe:
            return True
        try:
            source.open().close()
        except SourceError:
            continue
        return True
    return False
