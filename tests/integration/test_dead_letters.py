"""Dead letters on a real server: bounded, put back once, and always accounted for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgpack
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract import keys as names
from contract import wire
from contract.connect import connect
from contract.errors import UsageError
from contract.frame import FrameMessage
from contract.keys import Keys
from contract.snapshot import Snapshot, read_snapshot
from tests.unit.strategies import jpeg
from worker.dead.letters import DeadLetters, without_age_limit
from worker.delivery import Settlement
from worker.frames import RedisFrameQueue

pytestmark = pytest.mark.both_servers

KEYS = Keys()
Bury = Callable[..., None]
FRAME = FrameMessage("lobby", "s1", 7, 1, None, 8, 8, jpeg(8, 8), max_age_ns=500_000_000)


def bury(client: redis.Redis, *payloads: bytes, **bounds: float) -> None:
    """Through a worker's queue: published, read, settled as dead, each by itself."""
    queue = RedisFrameQueue(client, KEYS, "w", **bounds)  # type: ignore[arg-type]
    for payload in payloads:
        client.hincrby(KEYS.stats, names.PUBLISHED, 1)
        client.xadd(KEYS.frames, {wire.FIELD: payload})
        (delivery,) = queue.read(1, 0.01)
        queue.settle([Settlement(delivery, "dead", "image", "not a JPEG")])


def kept(client: redis.Redis) -> list[bytes]:
    return [letter[wire.FIELD] for _, letter in client.xrange(KEYS.dead)]


def true_bytes(client: redis.Redis) -> int:
    return sum(
        len(part)
        for _, letter in client.xrange(KEYS.dead)
        for pair in letter.items()
        for part in pair
    )


def check_total(client: redis.Redis) -> Snapshot:
    snapshot = read_snapshot(client, KEYS)
    assert snapshot.dead_letter_bytes == true_bytes(client)
    assert snapshot.unaccounted == 0
    return snapshot


def letters_of(client: redis.Redis) -> DeadLetters:
    return DeadLetters(client, [KEYS])


def test_the_oldest_go_until_number_and_bytes_are_within_their_bounds(
    redis_client: redis.Redis,
) -> None:
    bury(redis_client, *(bytes([n]) * 1000 for n in range(6)), keep_dead=4)
    assert [payload[0] for payload in kept(redis_client)] == [2, 3, 4, 5]
    assert check_total(redis_client).dead == 6
    bury(redis_client, bytes([6]) * 2500, keep_dead_bytes=5000)
    assert [payload[0] for payload in kept(redis_client)] == [4, 5, 6]
    assert check_total(redis_client).dead_letter_bytes <= 5000


def test_a_letter_longer_than_all_may_be_is_kept_without_its_bytes(
    redis_client: redis.Redis,
) -> None:
    bury(redis_client, b"small", bytes(6000), keep_dead_bytes=5000)
    assert check_total(redis_client).dead_letters == 2
    huge, small = letters_of(redis_client).newest_first()
    assert (small.payload, small.size_bytes) == (b"small", 5)
    assert (huge.payload, huge.left_out, huge.size_bytes) == (None, 6000, 6000)
    assert (huge.reason, huge.detail) == ("image", "not a JPEG")


def test_letters_go_when_they_are_too_old_also_while_no_new_ones_come(
    redis_client: redis.Redis,
) -> None:
    now_ms = time.time_ns() // 1_000_000
    for age_ms, text in ((90_000, b"old"), (30_000, b"young")):
        redis_client.xadd(KEYS.dead, {wire.FIELD: text}, id=f"{now_ms - age_ms}-0")
    redis_client.hset(KEYS.stats, names.DEAD_BYTES, true_bytes(redis_client))
    patient = RedisFrameQueue(redis_client, KEYS, "w", keep_dead_s=100)
    assert patient.recover(1) == []
    assert kept(redis_client) == [b"old", b"young"]
    quiet = RedisFrameQueue(redis_client, KEYS, "w", keep_dead_s=60)
    assert quiet.recover(1) == []
    assert kept(redis_client) == [b"young"]
    bury(redis_client, b"newest", keep_dead_s=20)
    assert kept(redis_client) == [b"newest"]
    check_total(redis_client)


def test_a_limit_that_was_lowered_is_reached_within_a_few_passes(
    redis_client: redis.Redis,
) -> None:
    with redis_client.pipeline() as pipe:
        for n in range(1500):
            pipe.xadd(KEYS.dead, {wire.FIELD: str(n)})
        pipe.execute()
    redis_client.hset(KEYS.stats, names.DEAD_BYTES, true_bytes(redis_client))
    lengths = []
    for _ in range(3):
        RedisFrameQueue(redis_client, KEYS, "w", keep_dead=10).recover(1)
        lengths.append(redis_client.xlen(KEYS.dead))
    assert lengths == [500, 10, 10]
    assert kept(redis_client)[0] == b"1490"
    check_total(redis_client)


def test_the_total_heals_after_somebody_deleted_the_letters(redis_client: redis.Redis) -> None:
    bury(redis_client, bytes(1000), bytes(1000))
    redis_client.delete(KEYS.dead)
    assert read_snapshot(redis_client, KEYS).dead_letter_bytes == 0
    bury(redis_client, b"next")
    check_total(redis_client)


def test_a_letter_goes_back_without_its_age_limit_and_is_published_once_more(
    redis_client: redis.Redis,
) -> None:
    payload = msgpack.packb({**msgpack.unpackb(FRAME.encode()), "later": [1, {"x": 2}]})
    bury(redis_client, payload)
    before = check_total(redis_client)
    letters = letters_of(redis_client)
    (letter,) = letters.newest_first()
    assert letter.frame_id() == ("lobby", "s1", 7)
    assert letters.requeue(letter)
    after = check_total(redis_client)
    assert (after.published, after.requeued) == (before.published + 1, 1)
    assert (after.dead, after.dead_letters, after.backlog) == (1, 0, 1)
    ((_, entry),) = redis_client.xrange(KEYS.frames)
    assert msgpack.unpackb(entry[wire.FIELD]) == {**msgpack.unpackb(payload), "max_age_ns": None}
    assert not FrameMessage.decode(entry).is_stale(time.time_ns())


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\x00garbage",
        msgpack.packb({"v": 9, "max_age_ns": 5}),
        msgpack.packb({b"v": 1, 3: "keys that are no text"}),
        FrameMessage("a", "s", 0, 1, None, 8, 8, jpeg(8, 8)).encode(),
    ],
)
def test_what_needs_no_change_or_cannot_be_read_goes_back_byte_for_byte(payload: bytes) -> None:
    assert without_age_limit(payload) == payload


def test_letters_come_and_go_also_when_redis_is_out_of_memory(redis_client: redis.Redis) -> None:
    bury(redis_client, *(b"%d" % n for n in range(6)))
    redis_client.hincrby(KEYS.stats, names.PUBLISHED, 1)
    redis_client.xadd(KEYS.frames, {wire.FIELD: b"6"})
    queue = RedisFrameQueue(redis_client, KEYS, "w", keep_dead=5)
    (delivery,) = queue.read(1, 0.01)
    letters = letters_of(redis_client)
    limit = redis_client.config_get("maxmemory")["maxmemory"]
    redis_client.config_set("maxmemory", 1)
    try:
        assert queue.recover(1) == []  # one goes: they are too many
        assert kept(redis_client)[0] == b"1"
        assert queue.settle([Settlement(delivery, "dead", "image", "")]) == [True]
        *_, older, oldest = letters.newest_first()
        assert letters.requeue(oldest)
        assert letters.drop(older)
    finally:
        redis_client.config_set("maxmemory", limit)
    assert kept(redis_client) == [b"4", b"5", b"6"]
    assert check_total(redis_client).requeued == 1


def test_many_operators_at_once_put_a_letter_back_once(
    redis_client: redis.Redis, redis_url: str
) -> None:
    bury(redis_client, *(b"frame %d" % n for n in range(20)))
    replies: list[bool] = []

    def operate(act: str) -> None:
        with connect(redis_url) as client:
            letters = letters_of(client)
            do = letters.requeue if act == "requeue" else letters.drop
            replies.extend([do(letter) for letter in list(letters.newest_first())])

    threads = [threading.Thread(target=operate, args=(act,)) for act in ("requeue", "drop") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert replies.count(True) == 20
    snapshot = check_total(redis_client)
    assert (snapshot.dead_letters, snapshot.backlog) == (0, snapshot.requeued)
    backlog = [entry[wire.FIELD] for _, entry in redis_client.xrange(KEYS.frames)]
    assert len(backlog) == len(set(backlog))


def test_letters_of_several_partitions_are_one_list(redis_client: redis.Redis) -> None:
    partitions = [Keys("emotion", p) for p in range(3)]
    for at_ms, p in ((1, 2), (2, 0), (3, 2), (4, 1), (5, 0)):
        redis_client.xadd(partitions[p].dead, {"m": f"{at_ms}"}, id=f"{at_ms}-0")
    redis_client.xadd(partitions[1].dead, {"m": "5 too"}, id="5-0")
    letters = DeadLetters(redis_client, partitions)
    ids = [letter.name for letter in letters.newest_first()]
    assert sorted(ids[:2]) == ["0/5-0", "1/5-0"]
    assert ids[2:] == ["1/4-0", "2/3-0", "0/2-0", "2/1-0"]
    found = letters.find("3-0"), letters.find("1/5-0"), letters.find("1/3-0")
    assert [letter and letter.payload for letter in found] == [b"3", b"5 too", None]
    with pytest.raises(UsageError, match="5-0: expected one of 0/5-0, 1/5-0"):
        letters.find("5-0")


def test_more_letters_than_one_page_come_in_order(redis_client: redis.Redis) -> None:
    bury(redis_client, *(b"%d" % n for n in range(40)))
    letters = letters_of(redis_client)
    assert [letter.payload for letter in letters.newest_first()] == [
        b"%d" % n for n in reversed(range(40))
    ]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("bury"), st.integers(0, 400)),
        st.tuples(st.just("requeue"), st.integers(0, 5)),
        st.tuples(st.just("drop"), st.integers(0, 5)),
        st.tuples(st.just("again"), st.just(0)),
        st.tuples(st.just("recover"), st.just(0)),
    ),
    max_size=25,
)


@given(steps)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_count_holds_after_any_sequence_of_steps(
    redis_url: str, sequence: list[tuple[str, int]]
) -> None:
    bounds = {"keep_dead": 5, "keep_dead_bytes": 1200}
    with connect(redis_url) as client:
        client.flushall()
        letters, last = letters_of(client), None
        queue = RedisFrameQueue(client, KEYS, "w", **bounds)
        before = read_snapshot(client, KEYS)
        for step, n in sequence:
            found = list(letters.newest_first())
            if step == "bury":
                client.hincrby(KEYS.stats, names.PUBLISHED, 1)
                client.xadd(KEYS.frames, {wire.FIELD: bytes(n)})
                queue.settle([Settlement(d, "dead", "x", "") for d in queue.read(10, 0.01)])
            elif step == "requeue" and n < len(found):
                last = found[n]
                assert last.payload is None or letters.requeue(last)
            elif step == "drop" and n < len(found):
                last = found[n]
                assert letters.drop(last)
            elif step == "again" and last is not None and last.payload is not None:
                gone = last.name not in {letter.name for letter in found}
                assert letters.requeue(last) is not gone
            else:
                queue.recover(1)
            after = check_total(client)
            assert (after.dead_letters, after.dead_letter_bytes) <= (5, 1200)
            assert after.dead_letter_bytes <= 1200
            assert after.published >= before.published
            assert after.requeued >= before.requeued
            assert after.dead >= before.dead
            before = after
