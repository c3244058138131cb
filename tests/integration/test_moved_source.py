"""Readers of a source that moved to another partition get the old session first."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
import redis

from consumer import EventReader
from contract.errors import BrokerError
from contract.event import EmotionEvent, Record, SourceRecord
from contract.keys import Keys, partition_of
from contract.partitions import agree_on_layout, change_layout
from tests.integration.sources import moving

pytestmark = pytest.mark.both_servers

PREFIX = "emotion"
WaitUntil = Callable[..., None]


def history(client: redis.Redis, source: str, frames: int) -> None:
    """Two sessions of a source that moved from one of two partitions into one of four."""
    before, after = (Keys(PREFIX, partition_of(source, number)) for number in (2, 4))
    agree_on_layout(client, PREFIX, 2)
    change_layout(client, PREFIX, 4)

    add_session(client, before, source, "s1", frames)
    add_session(client, after, source, "s2", frames, came=True)


def add_session(
    client: redis.Redis, keys: Keys, source: str, session: str, frames: int, *, came: bool = False
) -> None:
    """One that came from another partition, or one that goes there."""

    def add(record: Record) -> None:
        client.xadd(keys.events, {b"m": record.encode()})

    add(SourceRecord(source, session, "started", 1, None, moved=came))
    for seq in range(frames):
        add(EmotionEvent(source, session, seq, seq, None, seq, 64, 48, "m@1", ()))
    add(SourceRecord(source, session, "ended", 1, frames, moved=not came))


@pytest.mark.parametrize("group", [None, "g"])
def test_a_reader_far_behind_gets_the_old_session_first(
    redis_url: str, redis_client: redis.Redis, group: str | None
) -> None:
    source = moving(2, 4)
    history(redis_client, source, 300)
    with EventReader(redis_url, start="beginning", group=group, batch=8, idle_s=20) as reader:
        sessions = [record.session for record in islice(reader.records(), 604)]
    assert sessions == ["s1"] * 302 + ["s2"] * 302


@pytest.mark.parametrize("group", [None, "g"])
def test_a_reader_that_has_yet_to_hear_of_a_partition_gets_what_is_there_first(
    redis_url: str,
    redis_client: redis.Redis,
    group: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumer.streams.LOOK_EVERY_S", 3600.0)
    source = moving(1, 4)
    away, here = Keys(PREFIX, partition_of(source, 4)), Keys(PREFIX, 0)
    agree_on_layout(redis_client, PREFIX, 1)
    with EventReader(redis_url, start="beginning", group=group, idle_s=20) as reader:
        change_layout(redis_client, PREFIX, 4)
        add_session(redis_client, away, source, "s1", 5)
        change_layout(redis_client, PREFIX, 1)
        add_session(redis_client, here, source, "s2", 5, came=True)
        sessions = [record.session for record in islice(reader.records(), 14)]
    assert sessions == ["s1"] * 7 + ["s2"] * 7


def test_a_reader_of_another_source_does_not_wait(
    redis_url: str, redis_client: redis.Redis
) -> None:
    history(redis_client, moving(2, 4), 3)
    with EventReader(redis_url, start="beginning", sources=["other"], idle_s=0.3) as reader:
        assert list(reader.records()) == []


def test_sources_that_change_places_are_both_read_in_order(
    redis_url: str, redis_client: redis.Redis
) -> None:
    """What ends a session may lie behind the beginning of another one, in one batch."""
    agree_on_layout(redis_client, PREFIX, 2)

    def add(partition: int, *record: Any, moved: bool = False) -> None:
        entry = SourceRecord(*record, moved=moved)
        redis_client.xadd(Keys(PREFIX, partition).events, {b"m": entry.encode()})

    add(0, "x", "x1", "started", 1)
    add(1, "y", "y1", "started", 1)
    add(1, "y", "y1", "ended", 1, 0, moved=True)
    add(0, "y", "y2", "started", 9, moved=True)  # its producer's clock is ahead
    add(0, "x", "x1", "ended", 1, 0, moved=True)
    time.sleep(0.002)  # ids of two streams are compared by the millisecond
    add(1, "x", "x2", "started", 1, moved=True)
    with EventReader(redis_url, start="beginning", idle_s=20) as reader:
        found = [(r.session, r.state) for r in islice(reader.records(), 6)]
    for source in "xy":
        assert [session for session, _ in found if session[0] == source] == [
            f"{source}1", f"{source}1", f"{source}2",
        ]  # fmt: skip


def test_a_group_that_was_away_while_partitions_came_misses_nothing(
    redis_url: str, redis_client: redis.Redis
) -> None:
    source = moving(2, 4)
    agree_on_layout(redis_client, PREFIX, 2)
    with EventReader(redis_url, group="g", idle_s=0.01) as reader:
        assert list(reader.records()) == []
    history(redis_client, source, 3)
    with EventReader(redis_url, group="g", idle_s=20) as reader:
        assert [r.session for r in islice(reader.records(), 10)] == ["s1"] * 5 + ["s2"] * 5
    with EventReader(redis_url, group="new", idle_s=0.01) as reader:
        assert list(reader.records()) == []


def test_a_reader_that_cannot_begin_leaves_nobody_behind(
    redis_url: str, redis_client: redis.Redis
) -> None:
    redis_client.set(Keys(PREFIX).events, "no stream")
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        EventReader(redis_url).next_record()
    wait = [thread for thread in threading.enumerate() if thread.name == "layout"]
    for thread in wait:
        thread.join(10)
    assert not any(thread.is_alive() for thread in wait)


def test_a_reader_that_nobody_closes_leaves_nobody_behind(redis_url: str) -> None:
    reader = EventReader(redis_url, idle_s=0.01)
    assert list(reader.records()) == []
    watching = [thread for thread in threading.enumerate() if thread.name == "layout"]
    assert watching
    del reader
    gc.collect()
    for thread in watching:
        thread.join(10)
    assert not any(thread.is_alive() for thread in watching)
