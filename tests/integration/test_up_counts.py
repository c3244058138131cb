"""Is everything settled? Asked of a real server, where others may be at work as well."""

from __future__ import annotations

import redis

from contract import keys as names
from contract.keys import Keys
from deploy.local.counts import RunCounts, parse_entry_id

KEYS = Keys("stage")


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
    run_counts = RunCounts(redis_client, "stage")
    assert run_counts.newest_event == (0, 0)
    assert run_counts.refresh(0.0)
    assert run_counts.counts.published == 0
    assert run_counts.all_settled()


def test_settled_means_every_frame_so_far_and_no_later_one(redis_client: redis.Redis) -> None:
    settle(redis_client, publish(redis_client))  # an earlier run
    run_counts = RunCounts(redis_client, "stage")
    ours = publish(redis_client)
    assert not run_counts.all_settled()
    theirs = publish(redis_client)  # another producer goes on
    event = settle(redis_client, ours)
    assert run_counts.all_settled()
    assert run_counts.newest_event == parse_entry_id(event.decode())
    assert run_counts.refresh(0.0)
    assert (run_counts.counts.published, run_counts.counts.events, run_counts.counts.backlog) == (
        2,
        1,
        1,
    )
    assert run_counts.counts.unaccounted == 0
    settle(redis_client, theirs)


def test_a_server_that_is_away_for_a_moment_is_waited_for(
    redis_client: redis.Redis, monkeypatch: object
) -> None:
    run_counts = RunCounts(redis_client, "stage")
    publish(redis_client)
    away = redis.Redis(unix_socket_path="/nowhere", retry=None)
    here, run_counts._client = run_counts._client, away
    assert not run_counts.refresh(0.0)
    assert not run_counts.all_settled()
    run_counts._client = here
    assert run_counts.refresh(1.0)
    assert run_counts.counts.published == 1
    away.close()
