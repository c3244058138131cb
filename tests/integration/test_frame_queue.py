"""The frames stream as a work queue, on a real server: every frame is settled exactly once."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract import keys as names
from contract.connect import connect
from contract.keys import Keys
from contract.snapshot import read_snapshot
from tests.integration.test_publish import lost_replies
from worker.delivery import Delivery, Settlement
from worker.frames import RedisFrameQueue

pytestmark = pytest.mark.both_servers

KEYS = Keys()
Make = Callable[..., RedisFrameQueue]


@pytest.fixture
def make_queue(redis_client: redis.Redis) -> Make:
    def make(consumer: str = "a", lease_s: float = 10.0, **options: int) -> RedisFrameQueue:
        return RedisFrameQueue(redis_client, KEYS, consumer, lease_s=lease_s, **options)

    return make


def publish(client: redis.Redis, count: int) -> list[bytes]:
    """What publish.lua does, without its fence."""
    client.hincrby(KEYS.stats, names.PUBLISHED, count)
    return [client.xadd(KEYS.frames, {"m": f"frame {n}"}) for n in range(count)]


def event(delivery: Delivery, body: bytes = b"event") -> Settlement:
    return Settlement(delivery, "event", body)


def test_a_settled_frame_is_gone_and_its_event_is_there(
    redis_client: redis.Redis, make_queue: Make
) -> None:
    publish(redis_client, 4)
    queue = make_queue()
    first, second, third, fourth = queue.read(10, 0.01)
    assert [first.entry, fourth.entry] == [{b"m": b"frame 0"}, {b"m": b"frame 3"}]
    assert queue.settle(
        [
            event(first, b"e0"),
            Settlement(second, "dead", "image", "not a JPEG"),
            Settlement(third, "drop", "stale"),
        ]
    ) == [True, True, True]
    assert [entry[b"m"] for _, entry in redis_client.xrange(KEYS.events)] == [b"e0"]
    ((_, letter),) = redis_client.xrange(KEYS.dead)
    assert letter[b"m"] == b"frame 1"
    assert (letter[b"reason"], letter[b"detail"]) == (b"image", b"not a JPEG")
    assert (letter[b"attempts"], letter[b"frame"]) == (b"0", second.entry_id)
    snapshot = read_snapshot(redis_client, KEYS)
    assert (snapshot.events, snapshot.dead, snapshot.dropped) == (1, 1, {"stale": 1})
    assert (snapshot.backlog, snapshot.pending, snapshot.unaccounted) == (1, 1, 0)


def test_settling_twice_changes_nothing(redis_client: redis.Redis, make_queue: Make) -> None:
    publish(redis_client, 1)
    queue = make_queue()
    (delivery,) = queue.read(1, 0.01)
    assert queue.settle([event(delivery), event(delivery)]) == [True, False]
    assert queue.settle([event(delivery)]) == [False]
    assert redis_client.xlen(KEYS.events) == 1


def test_a_worker_presumed_dead_that_comes_back_does_nothing(
    redis_client: redis.Redis, make_queue: Make, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 3)
    zombie, successor = make_queue("zombie", lease_s=0.05), make_queue("successor", lease_s=0.05)
    old = zombie.read(3, 0.01)
    new: list[Delivery] = []
    wait_until(lambda: bool(new.extend(successor.recover(10)) or len(new) == 3))
    assert successor.settle([event(delivery, b"new") for delivery in new]) == [True] * 3
    assert zombie.settle([event(delivery, b"old") for delivery in old]) == [False] * 3
    assert {entry[b"m"] for _, entry in redis_client.xrange(KEYS.events)} == {b"new"}
    assert read_snapshot(redis_client, KEYS).redelivered == 3


def test_a_renewed_lease_is_not_taken_over(redis_client: redis.Redis, make_queue: Make) -> None:
    publish(redis_client, 2)
    owner, other = make_queue("owner", lease_s=0.2), make_queue("other", lease_s=0.2)
    owner.read(2, 0.01)
    until = time.monotonic() + 0.6
    while time.monotonic() < until:
        assert owner.renew() == 2
        assert other.recover(10) == []
    (pending,) = redis_client.xpending_range(KEYS.frames, names.WORKERS_GROUP, "-", "+", 1)
    assert pending["times_delivered"] == 1  # renewals are not attempts


def test_renewal_does_not_steal_back_what_was_claimed(
    redis_client: redis.Redis, make_queue: Make, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 1)
    slow, fast = make_queue("slow", lease_s=0.02), make_queue("fast", lease_s=0.02)
    slow.read(1, 0.01)
    wait_until(lambda: bool(fast.recover(1)))
    assert slow.renew() == 0
    assert fast.renew() == 1


def test_after_a_lost_reply_the_entries_in_our_name_come_back(
    redis_client: redis.Redis, make_queue: Make
) -> None:
    publish(redis_client, 3)
    queue = make_queue()
    assert queue.recover(10) == []
    (in_hand,) = queue.read(1, 0.01)
    # The server hands out two more, and the reply never arrives.
    redis_client.xreadgroup(names.WORKERS_GROUP, "a", {KEYS.frames: ">"}, count=2)
    assert queue.read(10, 0.01) == []
    queue.lost_touch()
    recovered = queue.recover(10)
    assert [delivery.entry for delivery in recovered] == [{b"m": b"frame 1"}, {b"m": b"frame 2"}]
    assert in_hand.entry_id not in {delivery.entry_id for delivery in recovered}


def test_trimmed_frames_are_counted_not_lost_in_silence(
    redis_client: redis.Redis, make_queue: Make, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 4)
    dead, alive = make_queue("dead", lease_s=0.02), make_queue("alive", lease_s=0.02)
    deliveries = dead.read(3, 0.01)
    redis_client.xtrim(KEYS.frames, maxlen=1, approximate=False)
    # One the worker settles as trimmed itself; two are found when its lease runs out.
    assert dead.settle([Settlement(deliveries[0], "drop", "trimmed")]) == [True]
    wait_until(
        lambda: bool(
            alive.recover(10) == []
            and read_snapshot(redis_client, KEYS).dropped.get("trimmed") == 3
        )
    )
    snapshot = read_snapshot(redis_client, KEYS)
    assert (snapshot.backlog, snapshot.pending, snapshot.unaccounted) == (1, 0, 0)


def test_a_frame_trimmed_in_hand_is_counted_by_the_renewal_that_drops_it(
    redis_client: redis.Redis, make_queue: Make
) -> None:
    publish(redis_client, 2)
    queue = make_queue()
    deliveries = queue.read(2, 0.01)
    redis_client.xtrim(KEYS.frames, maxlen=1, approximate=False)
    assert queue.renew() == 1
    assert queue.settle([event(delivery) for delivery in deliveries]) == [False, True]
    snapshot = read_snapshot(redis_client, KEYS)
    assert (snapshot.dropped, snapshot.unaccounted) == ({"trimmed": 1}, 0)


def test_the_names_of_killed_workers_are_forgotten_when_their_frames_are_taken(
    redis_client: redis.Redis, make_queue: Make, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 1)
    make_queue("killed", lease_s=0.001).read(1, 0.01)
    alive = make_queue("alive", lease_s=0.001)
    wait_until(lambda: bool(alive.recover(1)))

    def only_alive() -> bool:
        alive.recover(1)
        return [w.name for w in read_snapshot(redis_client, KEYS).workers] == ["alive"]

    wait_until(only_alive)


def test_a_lost_group_is_made_again(redis_client: redis.Redis, make_queue: Make) -> None:
    queue = make_queue()
    assert queue.read(1, 0.01) == []
    redis_client.flushall()
    publish(redis_client, 1)
    assert queue.recover(1) == []
    assert len(queue.read(1, 0.01)) == 1


def test_frames_from_before_the_first_worker_are_work(
    redis_client: redis.Redis, make_queue: Make
) -> None:
    publish(redis_client, 2)
    assert len(make_queue().read(10, 0.01)) == 2


def test_leaving_keeps_what_is_pending(redis_client: redis.Redis, make_queue: Make) -> None:
    publish(redis_client, 1)
    holder, idle = make_queue("holder"), make_queue("idle")
    holder.read(1, 0.01)
    idle.read(1, 0.01)
    holder.leave()
    idle.leave()
    assert [worker.name for worker in read_snapshot(redis_client, KEYS).workers] == ["holder"]
    assert read_snapshot(redis_client, KEYS).pending == 1


def test_attempts_are_counted_in_redis_and_forgotten_when_settled(
    redis_client: redis.Redis, make_queue: Make
) -> None:
    publish(redis_client, 1)
    queue = make_queue()
    (delivery,) = queue.read(1, 0.01)
    assert [queue.attempt(delivery), make_queue("b").attempt(delivery)] == [1, 2]
    queue.settle([Settlement(delivery, "dead", "attempts", "")])
    ((_, letter),) = redis_client.xrange(KEYS.dead)
    assert letter[b"attempts"] == b"2"
    assert redis_client.exists(KEYS.attempts) == 0


def test_an_attempt_whose_reply_is_lost_counts_once(
    redis_url: str, redis_client: redis.Redis, make_queue: Make
) -> None:
    publish(redis_client, 1)
    with connect(redis_url, retries=0) as client:
        queue = RedisFrameQueue(client, KEYS, "a")
        (delivery,) = queue.read(1, 0.01)
        for _ in range(3):
            with lost_replies(client, 1), pytest.raises(redis.ConnectionError):
                queue.attempt(delivery)
        assert queue.attempt(delivery) == 1
        assert queue.attempt(delivery) == 2  # with its reply: another one
        assert make_queue("b").attempt(delivery) == 3
        queue.forgive(delivery)
        assert queue.attempt(delivery) == 3


def test_one_worker_reports_the_shared_gauges(redis_client: redis.Redis, make_queue: Make) -> None:
    first, second = make_queue("first"), make_queue("second")
    assert first.report() is not None
    assert second.report() is None
    assert first.report() is not None
    redis_client.delete(KEYS.reporter)  # its time to live ran out
    assert second.report() is not None
    assert first.report() is None


def test_streams_stay_bounded(redis_client: redis.Redis, make_queue: Make) -> None:
    queue = make_queue(keep_events=100, keep_dead=5)
    for _ in range(10):
        publish(redis_client, 50)
        deliveries = queue.read(50, 0.01)
        queue.settle([event(delivery) for delivery in deliveries[:-1]])
        queue.settle([Settlement(deliveries[-1], "dead", "x", "")])
    assert redis_client.xlen(KEYS.events) < 300  # approximate: whole nodes of 100
    assert redis_client.xlen(KEYS.dead) == 5
    assert read_snapshot(redis_client, KEYS).dead == 10


def test_the_backlog_still_drains_when_redis_is_out_of_memory(
    redis_client: redis.Redis, make_queue: Make
) -> None:
    publish(redis_client, 2)
    queue = make_queue()
    first, _ = queue.read(2, 0.01)
    limit = redis_client.config_get("maxmemory")["maxmemory"]
    redis_client.config_set("maxmemory", 1)
    try:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            redis_client.xadd(KEYS.frames, {"m": "more"})
        assert queue.settle([event(first)]) == [True]
    finally:
        redis_client.config_set("maxmemory", limit)
    assert redis_client.xlen(KEYS.events) == 1


steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 5)),
        st.tuples(st.just("read"), st.integers(0, 2)),
        st.tuples(st.just("settle"), st.integers(0, 2)),
        st.tuples(st.just("forget"), st.integers(0, 2)),
        st.tuples(st.just("recover"), st.integers(0, 2)),
        st.tuples(st.just("settle again"), st.integers(0, 2)),
        st.tuples(st.just("renew"), st.integers(0, 2)),
        st.tuples(st.just("trim"), st.integers(0, 5)),
    ),
    max_size=30,
)


@given(steps)
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_conservation_holds_after_any_sequence_of_steps(
    redis_url: str, sequence: list[tuple[str, int]]
) -> None:
    client = connect(redis_url)
    client.flushall()
    workers = [RedisFrameQueue(client, KEYS, name, lease_s=0.0) for name in "abc"]
    hands: list[list[Delivery]] = [[], [], []]
    published: set[bytes] = set()
    trimmed = 0
    try:
        for step, n in sequence:
            if step == "publish":
                published.update(publish(client, n))
            elif step == "read":
                hands[n] += workers[n].read(2, 0.001)
            elif step == "recover":
                workers[n].lost_touch()
                hands[n] += workers[n].recover(2)
            elif step == "settle":
                workers[n].settle([event(d, d.entry_id) for d in hands[n]])
                hands[n] = hands[n][-1:]  # one is settled again later, as a zombie would
            elif step == "renew":
                workers[n].renew()
            elif step == "trim" and read_snapshot(client, KEYS).pending:
                # Somebody's XTRIM takes a frame that is in a worker's hands.
                (taken,) = client.xpending_range(KEYS.frames, names.WORKERS_GROUP, "-", "+", 1)
                trimmed += client.xdel(KEYS.frames, taken["message_id"])
            elif step == "settle again":
                workers[n].settle([Settlement(d, "dead", "x", "") for d in hands[n]])
            elif step == "forget":
                hands[n].clear()
            snapshot = read_snapshot(client, KEYS)
            # What was trimmed is counted when a worker meets it, not before and not twice.
            assert 0 <= snapshot.unaccounted <= trimmed
        finder = workers[0]
        finder.lost_touch()
        for _ in range(3):  # its own first, then everybody's
            found = finder.recover(1000)
            finder.settle([Settlement(d, "drop", "trimmed") for d in found if not d.entry])
        assert read_snapshot(client, KEYS).unaccounted == 0
        events = [entry[b"m"] for _, entry in client.xrange(KEYS.events)]
        letters = [entry[b"frame"] for _, entry in client.xrange(KEYS.dead)]
        left = [entry_id for entry_id, _ in client.xrange(KEYS.frames)]
        ends = [*events, *letters, *left]
        assert len(ends) == len(set(ends))  # nothing twice
        assert set(ends) <= published
        assert len(ends) >= len(published) - trimmed  # nothing lost but what was trimmed
    finally:
        client.close()
