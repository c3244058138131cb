"""`consumer.signals` over a stream and over a recording: the steps one by one, and together."""

from __future__ import annotations

import threading
from pathlib import Path

import redis

from consumer import EventReader, in_order, signals, smoothed, tracked
from consumer.session import Player, SessionReader, SessionWriter
from contract.event import EmotionEvent, Record, SourceRecord
from contract.keys import Keys
from contract.smoothed import Signal, SmoothedEvent, Transition
from tests.event_files import read_events

DATA = Path(__file__).parents[1] / "data" / "events" / "people.jsonl.gz"
KEYS = Keys()


def session() -> list[Record]:
    """The shipped clip's events; of each ten, two are exchanged."""
    events: list[Record] = [*sorted(read_events(DATA), key=lambda event: event.seq)]
    for place in range(3, len(events) - 1, 10):
        events[place], events[place + 1] = events[place + 1], events[place]
    first = events[0]
    started = SourceRecord(first.source, first.session, "started", 0, len(events))
    ended = SourceRecord(first.source, first.session, "ended", 1, len(events))
    return [started, *events, ended]


def summary(found: list[Signal]) -> list[str]:
    """Each smoothed event's frame and people, and what changes."""
    return [
        f"{s.seq} {[(p.track, p.label, round(p.valence, 9)) for p in s.people]}"
        if isinstance(s, SmoothedEvent)
        else f"{s.change} {s.track}"
        if isinstance(s, Transition)
        else s.state
        for s in found
    ]


def test_the_steps_one_by_one_are_the_whole(redis_url: str, redis_client: redis.Redis) -> None:
    records = session()
    for record in records:
        redis_client.xadd(KEYS.events, {b"m": record.encode()})
    with EventReader(redis_url, start="beginning", idle_s=0.5) as reader:
        steps = list(smoothed(tracked(in_order(reader.records()))))
    stop = threading.Event()
    whole: list[Signal] = []
    with EventReader(redis_url, start="beginning", stop=stop) as reader:
        for signal in signals(reader):
            whole.append(signal)
            if isinstance(signal, SourceRecord) and signal.state == "ended":
                stop.set()
    assert summary(steps) == summary(whole)
    frames = [s.seq for s in whole if isinstance(s, SmoothedEvent)]
    assert frames == list(range(len(records) - 2))
    entered = [s.track for s in whole if isinstance(s, Transition) and s.change == "person_entered"]
    assert entered == [1, 2, 3, 4]  # the cast of the clip


def test_a_recording_gives_the_same(tmp_path: Path) -> None:
    records = session()
    path = tmp_path / "take.jsonl"
    with SessionWriter(path, started_at_ns=0) as writer:
        for number, record in enumerate(records):
            writer.write(record, number * 1_000_000)
        writer.finish(len(records) * 1_000_000)
    player = Player(SessionReader(path), stop=threading.Event(), speed=4.0)
    found = list(signals(player))
    assert summary(found) == summary(list(smoothed(tracked(in_order(records)))))
    assert sum(isinstance(record, EmotionEvent) for record in records) == 264
