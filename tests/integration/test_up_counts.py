"""Is everything settled? Asked of a real server, where others may be at work as well."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from consumer.play import Play
from consumer.progress import parse_id
from contract import keys as names
from contract.errors import BrokerError, BrokerUnavailable, UsageError
from contract.keys import Keys
from contract.partitions import agree_on_layout
from deploy.local.counts import RunCounts
from deploy.local.feed import Feed
from deploy.local.settings import UpSettings

pytestmark = pytest.mark.both_servers

KEYS = Keys("stage")
URL = "redis://:secret@host"


def publish(client: redis.Redis) -> bytes:
    client.hincrby(KEYS.stats, names.PUBLISHED, 1)
    entry: bytes = client.xadd(KEYS.frames, {b"m": b"frame"})
    return entry


def settle(client: redis.Redis, entry: bytes) -> bytes:
    client.xdel(KEYS.frames, entry)
    client.hincrby(KEYS.stats, names.EVENTS, 1)
    event: bytes = client.xadd(KEYS.events, {b"m": b"event"})
    return event


def test_an_unused_server_has_nothing_to_settle(redis_client: redis.Redis) -> None:
    run_counts = RunCounts(redis_client, URL, "stage")
    assert run_counts.newest_event == (0, 0)
    assert run_counts.refresh(0.0)
    assert run_counts.counts.published == 0
    assert run_counts.all_settled()


def test_settled_means_every_frame_so_far_and_no_later_one(redis_client: redis.Redis) -> None:
    settle(redis_client, publish(redis_client))  # an earlier run
    run_counts = RunCounts(redis_client, URL, "stage")
    ours = publish(redis_client)
    assert not run_counts.all_settled()
    theirs = publish(redis_client)  # another producer goes on
    event = settle(redis_client, ours)
    assert run_counts.all_settled()
    assert run_counts.newest_event == parse_id(event)
    assert run_counts.refresh(0.0)
    assert (run_counts.counts.published, run_counts.counts.events, run_counts.counts.backlog) == (
        2,
        1,
        1,
    )
    assert run_counts.counts.unaccounted == 0
    settle(redis_client, theirs)


def test_a_system_of_several_partitions_is_not_this_commands(redis_client: redis.Redis) -> None:
    agree_on_layout(redis_client, "stage", 2)
    with pytest.raises(UsageError, match="expected a system of one partition, 'stage' has 2"):
        RunCounts(redis_client, URL, "stage")


def test_a_server_that_is_away_for_a_moment_is_waited_for(
    redis_client: redis.Redis, monkeypatch: object
) -> None:
    run_counts = RunCounts(redis_client, URL, "stage")
    publish(redis_client)
    away = redis.Redis(unix_socket_path="/nowhere", retry=None)
    here, run_counts._client = run_counts._client, away
    assert not run_counts.refresh(0.0)
    assert not run_counts.all_settled()
    run_counts._client = here
    assert run_counts.refresh(1.0)
    assert run_counts.counts.published == 1
    away.close()


def test_what_the_server_refuses_is_one_line(redis_client: redis.Redis) -> None:
    run_counts = RunCounts(redis_client, URL, "stage")
    redis_client.set(KEYS.events, "no stream")
    redis_client.set(KEYS.frames, "no stream")
    for ask in (
        lambda: RunCounts(redis_client, URL, "stage"),
        lambda: run_counts.refresh(0.0),
        run_counts.all_settled,
        run_counts.look_for_events,
    ):
        with pytest.raises(BrokerError, match=r"Redis at redis://\*\*\*@host refused us: .*WRONG"):
            ask()


def test_entries_that_are_skipped_are_read_too(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    settings = UpSettings.model_validate({"source": ["cam"]})
    with (
        Play(settings, redis_url, "stage") as play,
        Feed(redis_url, "stage", (0, 0), ["cam"], play) as feed,
    ):
        for _ in range(2):
            newest = parse_id(redis_client.xadd(KEYS.events, {b"m": b"no event"}))
            wait_until(lambda newest=newest: feed.has_read(newest))
        assert not feed.has_read((newest[0], newest[1] + 1))
        assert feed.take(0.0) == []


def test_no_server_is_one_line() -> None:
    with (
        redis.Redis(unix_socket_path="/nowhere", retry=None) as away,
        pytest.raises(BrokerUnavailable, match=r"no Redis at redis://\*\*\*@host"),
    ):
        RunCounts(away, URL, "stage")
