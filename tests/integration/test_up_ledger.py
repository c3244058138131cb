"""Is everything settled? Asked of a real server, where others may be at work as well."""

from __future__ import annotations

import redis

from contract import keys as names
from contract.keys import Keys
from deploy.local.ledger import Ledger, parse_entry_id

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
    ledger = Ledger(redis_client, "stage")
    assert ledger.newest_event == (0, 0)
    assert ledger.refresh(0.0)
    assert ledger.counts.published == 0
    assert ledger.all_settled()


def test_settled_means_every_frame_so_far_and_no_later_one(redis_client: redis.Redis) -> None:
    settle(redis_client, publish(redis_client))  # an earlier run
    ledger = Ledger(redis_client, "stage")
    ours = publish(redis_client)
    assert not ledger.all_settled()
    theirs = publish(redis_client)  # another producer goes on
    event = settle(redis_client, ours)
    assert ledger.all_settled()
    assert ledger.newest_event == parse_entry_id(event.decode())
    assert ledger.refresh(0.0)
    assert (ledger.counts.published, ledger.counts.events, ledger.counts.backlog) == (2, 1, 1)
    assert ledger.counts.unaccounted == 0
    settle(redis_client, theirs)


def test_a_server_that_is_away_for_a_moment_is_waited_for(
    redis_client: redis.Redis, monkeypatch: object
) -> None:
    ledger = Ledger(redis_client, "stage")
    publish(redis_client)
    away = redis.Redis(unix_socket_path="/nowhere", retry=None)
    here, ledger._client = ledger._client, away
    assert not ledger.refresh(0.0)
    assert not ledger.all_settled()
    ledger._client = here
    assert ledger.refresh(1.0)
    assert ledger.counts.published == 1
    away.close()
