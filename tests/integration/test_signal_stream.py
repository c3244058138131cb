"""Smoothed events in Redis: for any language, by one publisher."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import redis

from consumer.sinks.stream import SignalStream
from contract.affect import Affect
from contract.connect import connect
from contract.errors import SinkFailed, UsageError
from contract.event import Box, SourceRecord
from contract.keys import PARTITIONS, Keys, config_key, partition_of
from contract.partitions import agree_on_layout, change_layout
from contract.smoothed import Person, Signal, SmoothedEvent, Transition, decode_signal
from tests.integration.sources import source_in

pytestmark = pytest.mark.both_servers

PREFIX = "stage"


def signals(source: str, count: int) -> list[Signal]:
    person = Person(1, 1, Box(0, 0, 9, 9), True, "neutral", {"neutral": 1.0}, 0.0, 0.0)
    found: list[Signal] = [SourceRecord(source, "s", "started", 1, None)]
    found.append(Transition(source, "s", "person_entered", 2, 1, 1, "neutral"))
    calm = Affect(0.0, 0.0)
    return found + [
        SmoothedEvent(source, "s", seq, seq, None, seq, 640, 480, (person,), calm)
        for seq in range(count)
    ]


def publisher(url: str, keep: int = 1000) -> SignalStream:
    return SignalStream(connect(url, retries=0), url, PREFIX, keep)


def read(client: redis.Redis, partition: int = 0) -> list[Signal]:
    return [decode_signal(entry) for _, entry in client.xrange(Keys(PREFIX, partition).smoothed)]


def test_a_session_stays_in_its_stream_and_the_next_one_goes_where_the_source_lives_then(
    redis_url: str, redis_client: redis.Redis
) -> None:
    agree_on_layout(redis_client, PREFIX, 1)
    stream = publisher(redis_url)
    stream.open(0.0)
    source = source_in(1)
    first = signals(source, 2)
    stream.write(first[-2], 0.0)
    change_layout(redis_client, PREFIX, 2)
    stream.write(first[-1], 0.0)
    stream.tick(1.0)  # takes the lease of the new partition, before there is anything to write
    assert redis_client.exists(Keys(PREFIX, 1).smoother)
    later = replace(first[-1], session="t")
    stream.write(later, 2.0)
    assert read(redis_client, 0) == first[-2:]
    assert read(redis_client, 1) == [later]
    stream.close()
    assert not redis_client.exists(*(Keys(PREFIX, number).smoother for number in range(2)))


def test_signals_are_in_the_stream_of_their_partition(
    redis_url: str, redis_client: redis.Redis
) -> None:
    redis_client.hset(config_key(PREFIX), PARTITIONS, "3")
    stream = publisher(redis_url)
    stream.open(0.0)
    sent = {source: signals(source, 3) for source in ("lobby", "door", "로비", "hall")}
    for found in sent.values():
        for signal in found:
            stream.write(signal, 0.0)
    for partition in range(3):
        expected = [
            s for name, all_ in sent.items() if partition_of(name, 3) == partition for s in all_
        ]
        assert read(redis_client, partition) == expected
    assert len({partition_of(source, 3) for source in sent}) > 1
    stream.close()
    assert not redis_client.exists(*(Keys(PREFIX, number).smoother for number in range(3)))


def test_the_stream_is_bounded(redis_url: str, redis_client: redis.Redis) -> None:
    stream = publisher(redis_url, keep=200)
    stream.open(0.0)
    for signal in signals("lobby", 2000):
        stream.write(signal, 0.0)
    # Whole blocks are trimmed, of 100 entries by default.
    assert 200 <= redis_client.xlen(Keys(PREFIX).smoothed) <= 400
    stream.close()


def test_two_publishers_would_say_everything_twice(
    redis_url: str, redis_client: redis.Redis
) -> None:
    first, second = publisher(redis_url), publisher(redis_url)
    first.open(0.0)
    with pytest.raises(UsageError, match=r"another process publishes stage:\{0\}:smoothed on"):
        second.open(0.0)
    # The first was cut off for longer than its lease, and somebody took over meanwhile.
    redis_client.delete(Keys(PREFIX).smoother)
    second.open(0.0)
    (signal, *_) = signals("lobby", 0)
    with pytest.raises(SinkFailed, match="another process publishes now"):
        first.write(signal, 1.0)
    due_s = first.due_s()
    assert due_s is not None
    with pytest.raises(SinkFailed, match="another process publishes now"):
        first.tick(due_s)
    second.write(signal, 1.0)
    first.close()  # takes nothing away from the second
    second.write(signal, 1.0)
    assert read(redis_client) == [signal, signal]
    second.close()


def test_a_publisher_that_has_nothing_to_say_keeps_its_lease(
    redis_url: str, redis_client: redis.Redis
) -> None:
    stream = publisher(redis_url)
    stream.open(time.monotonic())
    redis_client.pexpire(Keys(PREFIX).smoother, 1000)
    due_s = stream.due_s()
    assert due_s is not None
    stream.tick(due_s)
    assert redis_client.pttl(Keys(PREFIX).smoother) > 10_000
    assert stream.due_s() == pytest.approx(due_s + 3.0)
    assert redis_client.xlen(Keys(PREFIX).smoothed) == 0
    stream.close()


def test_a_server_that_refuses_is_a_loss_not_a_crash(
    redis_url: str, redis_client: redis.Redis
) -> None:
    stream = publisher(redis_url)
    stream.open(0.0)
    redis_client.set(Keys(PREFIX).smoothed, "no stream")
    with pytest.raises(SinkFailed, match="WRONGTYPE"):
        stream.write(signals("lobby", 0)[0], 0.0)
    redis_client.delete(Keys(PREFIX).smoothed)
    stream.write(signals("lobby", 0)[0], 0.0)
    assert len(read(redis_client)) == 1
    stream.close()
