"""What Redis keeps is bounded by configuration, whoever is slow, silent or killed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client import CollectorRegistry

from consumer import EventReader
from contract import keys as names
from contract import wire
from contract.connect import connect
from contract.event import EmotionEvent
from contract.frame import FrameMessage
from contract.keys import Keys, config_key
from contract.layout_watch import LayoutWatch
from contract.partitions import Layout
from contract.snapshot import read_snapshot
from producer.encode import Jpeg
from producer.heartbeat import Heartbeat
from producer.metrics import ProducerMetrics
from producer.publish import Publisher
from tests.integration.clips import write_video
from tests.integration.processes import RoleProcess
from tests.unit.strategies import jpeg
from worker.delivery import Delivery, Settlement
from worker.frames import RedisFrameQueue

pytestmark = pytest.mark.both_servers

WaitUntil = Callable[..., None]
KEYS = Keys()
HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS


# Attempts at frames


def taken(client: redis.Redis, queue: RedisFrameQueue) -> Delivery:
    """A frame in the queue's hands, tried alone once."""
    frame = FrameMessage("cam", "s", 0, time.time_ns(), None, 8, 8, jpeg(8, 8))
    client.xadd(KEYS.frames, {wire.FIELD: frame.encode()})
    client.hincrby(KEYS.stats, names.PUBLISHED, 1)
    (delivery,) = queue.read(1, 0.01)
    assert queue.attempt(delivery) == 1
    return delivery


def test_the_attempts_at_a_frame_go_with_the_frame_whoever_finds_it_trimmed(
    redis_client: redis.Redis, wait_until: WaitUntil
) -> None:
    holder = RedisFrameQueue(redis_client, KEYS, "holder", lease_s=0.02)
    taken(redis_client, holder)
    redis_client.xtrim(KEYS.frames, maxlen=0, approximate=False)
    assert holder.renew() == 0
    assert redis_client.hlen(KEYS.attempts) == 0

    taken(redis_client, holder)
    redis_client.xtrim(KEYS.frames, maxlen=0, approximate=False)
    other = RedisFrameQueue(redis_client, KEYS, "other", lease_s=0.02)
    wait_until(lambda: not other.recover(8) and redis_client.hlen(KEYS.attempts) == 0)
    assert read_snapshot(redis_client, KEYS).dropped == {"trimmed": 2}


def test_an_attempt_that_comes_after_the_end_of_its_frame_leaves_nothing(
    redis_client: redis.Redis,
) -> None:
    slow = RedisFrameQueue(redis_client, KEYS, "slow")
    delivery = taken(redis_client, slow)
    other = RedisFrameQueue(redis_client, KEYS, "other")
    assert other.settle([Settlement(delivery, "drop", "stale")]) == [True]
    assert slow.attempt(delivery) == 0
    slow.forgive(delivery)
    redis_client.delete(KEYS.frames)
    assert slow.attempt(delivery) == 0  # Redis lost its data
    assert redis_client.exists(KEYS.attempts) == 0


# Names of readers


def members(client: redis.Redis) -> list[str]:
    rows: Any = client.xinfo_consumers(KEYS.events, "g")
    return [row["name"].decode() for row in rows]


def test_killed_readers_leave_no_names_behind_and_no_event_unread(
    redis_url: str, redis_client: redis.Redis
) -> None:
    for seq in range(40):
        event = EmotionEvent("cam", "s", seq, 1, None, 2, 8, 8, "m@1", ())
        redis_client.xadd(KEYS.events, {wire.FIELD: event.encode()})
    options: Any = {"group": "g", "start": "beginning", "claim_idle_s": 0.03, "batch": 2}
    read = []
    for _ in range(10):
        reader = EventReader(redis_url, **options)
        read.append(next(reader).seq)
        reader._client.close()  # as if killed: it tells Redis nothing
    # One that left in good order: what it fetched waits for the next one.
    with EventReader(redis_url, **options) as leaving:
        read.append(next(leaving).seq)
    with EventReader(redis_url, **options, idle_s=0.1) as reader:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            read += [event.seq for event in reader]
            if len(members(redis_client)) == 1 and set(read) == set(range(40)):
                break
        assert set(read) == set(range(40))
        assert len(members(redis_client)) == 1
    assert redis_client.xpending(KEYS.events, "g")["pending"] == 0  # type: ignore[index]


# Fences of sources


def publisher(client: redis.Redis, source: str) -> Publisher:
    metrics = ProducerMetrics(CollectorRegistry(), [source])
    heartbeat = Heartbeat(threading.Event())
    layouts = LayoutWatch(client, KEYS.prefix, Layout(), says=True)
    return Publisher(client, layouts, source, mode="lossless", metrics=metrics, heartbeat=heartbeat)


def test_sources_that_are_gone_are_forgotten_and_those_that_live_are_not(
    redis_url: str, redis_client: redis.Redis
) -> None:
    now_ns = time.time_ns()
    gone = {f"file{n}": f"1:s:99:ended:{now_ns - 2 * HOUR_NS}" for n in range(1000)}
    gone |= {f"cam{n}": f"1:s:99:started:{now_ns - 8 * DAY_NS}" for n in range(1000)}
    alive = {f"new{n}": f"1:s:99:ended:{now_ns - HOUR_NS // 2}" for n in range(20)}
    alive |= {f"slow{n}": f"1:s:99:started:{now_ns - 6 * DAY_NS}" for n in range(20)}
    redis_client.hset(KEYS.fence, mapping={**gone, **alive})
    with connect(redis_url, retries=0) as client:
        camera = publisher(client, "camera")
        for _ in range(1000):
            assert camera.open_session(None)
    left = {name.decode() for name in redis_client.hkeys(KEYS.fence)}
    assert len(left) <= 256
    assert left >= {*alive, "camera"}


def test_a_source_that_was_forgotten_but_lives_begins_a_new_session(
    redis_url: str, redis_client: redis.Redis
) -> None:
    with connect(redis_url, retries=0) as client:
        camera, other = publisher(client, "camera"), publisher(client, "other")
        camera.open_session(None)
        picture = Jpeg(jpeg(8, 8), 8, 8)
        before = camera.publish(picture, captured_at_ns=1, pts_ns=None)
        week_old = f"1:{before.session}:0:started:{time.time_ns() - 8 * DAY_NS}"  # type: ignore[union-attr]
        many = {f"file{n}": week_old for n in range(300)}
        redis_client.hset(KEYS.fence, mapping={**many, "camera": week_old})
        for _ in range(1000):
            other.open_session(None)
            redis_client.hset(KEYS.fence, mapping=many)  # always more than are kept
            if not redis_client.hexists(KEYS.fence, "camera"):
                break
        after = camera.publish(picture, captured_at_ns=2, pts_ns=None)
    assert before and after
    assert (after.session != before.session, after.seq, after.accepted) == (True, 0, True)
    assert read_snapshot(redis_client, KEYS).unaccounted == 0


# Redis's own bound


@pytest.mark.parametrize(("policy", "warns"), [("allkeys-lru", True), ("noeviction", False)])
def test_a_server_that_may_evict_frames_is_warned_about(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path, policy: str, warns: bool
) -> None:
    clip = write_video(tmp_path / "clip.mp4", range(0, 200, 40))
    redis_client.config_set("maxmemory-policy", policy)
    redis_client.config_set("maxmemory", "1gb")
    try:
        with (
            RoleProcess("producer", str(clip), "--redis", redis_url) as producer,
            RoleProcess("tests.paced_worker", "--redis", redis_url) as worker,
        ):
            assert producer.wait() == 0
            worker.log("ready")
            warning = "redis may evict frames, use noeviction"
            for role in (producer, worker):
                assert any(warning in line for line in role.lines) == warns
    finally:
        redis_client.config_set("maxmemory", 0)
        redis_client.config_set("maxmemory-policy", "noeviction")


# All of it at work

BACKLOG, EVENTS, LETTERS = 24, 200, 10
NODE = 100  # entries of a stream that Redis removes together, where it trims about


def test_a_system_with_slow_workers_no_reader_and_poison_keeps_its_bounds(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path, wait_until: WaitUntil
) -> None:
    clip = write_video(tmp_path / "clip.mp4", range(0, 1000, 10))
    shared = ("--redis", redis_url)
    backlog = ("--max-backlog", str(BACKLOG))
    keep = ("--keep-events", str(EVENTS), "--keep-dead", str(LETTERS), "--batch-size", "8")
    slow = {"PACED_BATCH_S": "0.005", "PACED_POISON_EVERY": "25"}
    worst: dict[str, int] = {}

    def measure() -> None:
        frames: Any = redis_client.xrange(KEYS.frames, count=1)
        size = len(frames[0][1][b"m"]) if frames else 0
        memory: Any = redis_client.memory_usage(KEYS.frames, samples=0) or 0
        group = redis_client.exists(KEYS.frames) and redis_client.xinfo_groups(KEYS.frames)
        found = {
            "frames": redis_client.xlen(KEYS.frames),
            "frame bytes": size,
            "frames memory": memory,
            "events": redis_client.xlen(KEYS.events),
            "dead": redis_client.xlen(KEYS.dead),
            "attempts": redis_client.hlen(KEYS.attempts),
            "fence": redis_client.hlen(KEYS.fence),
            "stats": redis_client.hlen(KEYS.stats),
            "consumers": group[0]["consumers"] if group else 0,  # type: ignore[index]
        }
        for name, value in found.items():
            worst[name] = max(worst.get(name, 0), value)

    with ExitStack() as stack:
        for mode in ("lossless", "live"):
            producer = ("producer", str(clip), "--loop", "--mode", mode, "--source-id", mode)
            speed = "--realtime" if mode == "live" else "--no-realtime"
            stack.enter_context(RoleProcess(*producer, speed, *shared, *backlog))
        workers = [
            stack.enter_context(RoleProcess("tests.paced_worker", *shared, *keep, environment=slow))
            for _ in range(2)
        ]
        doomed = workers[:1]

        def has_run() -> bool:
            measure()
            counts = read_snapshot(redis_client, KEYS)
            assert counts.unaccounted == 0
            if doomed and counts.events > EVENTS:
                doomed.pop().send(signal.SIGKILL)
            return counts.events > 5 * EVENTS and counts.dead > 2 * LETTERS

        wait_until(has_run, timeout_s=90)
    bounds = {
        "frames": BACKLOG,
        "events": EVENTS + NODE,
        "dead": LETTERS,
        "attempts": BACKLOG,
        "fence": 2,
        "stats": 12,
        "consumers": 2,
        # The pictures, and a node of Redis's for each at the most.
        "frames memory": BACKLOG * (2 * worst["frame bytes"] + 1024) + 4096,
    }
    assert worst["frame bytes"] > 1000
    assert {name: worst[name] for name in bounds if worst[name] > bounds[name]} == {}
    keys = {key.decode() for key in redis_client.keys("*")}
    assert keys <= {
        KEYS.frames, KEYS.events, KEYS.dead, KEYS.stats, KEYS.fence, KEYS.attempts, KEYS.reporter,
            config_key(KEYS.prefix),
    }  # fmt: skip
