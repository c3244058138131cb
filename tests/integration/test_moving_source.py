"""A source moves to another partition: when, and what it leaves behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import redis
from prometheus_client import CollectorRegistry

from contract.connect import connect
from contract.errors import Superseded, WorkersMissing
from contract.event import SourceRecord, decode_record
from contract.keys import WORKERS_GROUP, Keys, partition_of
from contract.layout_watch import LayoutWatch
from contract.partitions import Layout, agree_on_layout, change_layout, read_layout
from contract.snapshot import read_snapshot
from producer.encode import encode_jpeg
from producer.heartbeat import Heartbeat
from producer.metrics import ProducerMetrics
from producer.publish import Published, Publisher
from tests.integration.sources import moving
from worker.cli import main as emotion_worker
from worker.repartition.spread import read_spread

pytestmark = pytest.mark.both_servers

PREFIX = "emotion"
WaitUntil = Callable[..., None]
JPEG = encode_jpeg(np.zeros((8, 8, 3), np.uint8), max_width=64, quality=50)


class Rig:
    """A camera that publishes one frame when told to."""

    def __init__(self, url: str, source: str, *, full_timeout_s: float = 60.0) -> None:
        self.client = connect(url, retries=0)
        layout = read_layout(self.client, PREFIX) or Layout()
        self.layouts = LayoutWatch(self.client, PREFIX, layout, says=True)
        self.stop = threading.Event()
        self.publisher = Publisher(
            self.client,
            self.layouts,
            source,
            mode="lossless",
            metrics=ProducerMetrics(CollectorRegistry(), [source]),
            heartbeat=Heartbeat(self.stop),
            full_timeout_s=full_timeout_s,
        )

    def hears_of(self, partitions: int) -> None:
        """Their number changes, and the camera knows it."""
        change_layout(self.client, PREFIX, partitions)
        self.layouts.look()

    def publish(self) -> Published | None:
        return self.publisher.publish(JPEG, captured_at_ns=time.time_ns(), pts_ns=None)


@pytest.fixture
def rig(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Rig]]:
    monkeypatch.setattr("producer.sessions._HEARD_S", 0.0)
    made: list[Rig] = []

    def make(source: str, **options: float) -> Rig:
        made.append(Rig(redis_url, source, **options))
        return made[-1]

    yield make
    for each in made:
        each.client.close()


def settle_all(client: redis.Redis, keys: Keys) -> int:
    """What a worker does, less the events."""
    if not client.exists(keys.frames) or not client.xinfo_groups(keys.frames):
        client.xgroup_create(keys.frames, WORKERS_GROUP, id="0", mkstream=True)
    reply = client.xreadgroup(WORKERS_GROUP, "w", {keys.frames: ">"})
    ids = [entry_id for _, entries in reply for entry_id, _ in entries]  # type: ignore[union-attr]
    if ids:
        client.xack(keys.frames, WORKERS_GROUP, *ids)
        client.xdel(keys.frames, *ids)
    return len(ids)


def looks(client: redis.Redis) -> int:
    """How often anybody looked into a stream."""
    stats: Any = client.info("commandstats")
    return int(stats.get("cmdstat_xrange", {}).get("calls", 0))


SOURCE = moving(2, 4)
OLD, NEW = (Keys(PREFIX, partition_of(SOURCE, number)) for number in (2, 4))


def test_a_source_without_backlog_moves_between_two_frames(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE)
    camera.publisher.open_session(10)
    first = camera.publish()
    assert settle_all(redis_client, OLD) == 1
    change_layout(redis_client, PREFIX, 4)
    assert camera.layouts.look() == Layout(4, (2,))
    second = camera.publish()
    assert first and second
    assert (second.seq, second.session != first.session) == (0, True)
    assert redis_client.xlen(OLD.frames) == 0
    assert redis_client.xlen(NEW.frames) == 1
    old, new = (read_snapshot(redis_client, keys).sources[0] for keys in (OLD, NEW))
    assert (old.session, old.state, old.last_seq) == (first.session, "ended", 0)
    assert (new.session, new.state, new.last_seq) == (second.session, "started", 0)


def test_a_source_goes_on_where_it_is_while_frames_of_it_wait(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE)
    camera.publisher.open_session(None)
    camera.publish()
    camera.hears_of(4)
    assert camera.publish()
    assert (redis_client.xlen(OLD.frames), redis_client.xlen(NEW.frames)) == (2, 0)
    settle_all(redis_client, OLD)
    assert camera.publish()
    assert (redis_client.xlen(OLD.frames), redis_client.xlen(NEW.frames)) == (0, 1)


def test_a_source_that_never_has_a_moment_without_backlog_waits_for_one(
    rig: Callable[..., Rig],
    redis_client: redis.Redis,
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("producer.sessions._PATIENCE_S", 0.0)
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE)
    camera.publisher.open_session(None)
    camera.publish()
    camera.hears_of(4)
    got: list[Published | None] = []
    thread = threading.Thread(target=lambda: got.append(camera.publish()), daemon=True)
    thread.start()
    wait_until(lambda: looks(redis_client) > 3)
    assert (got, redis_client.xlen(OLD.frames)) == ([], 1)
    settle_all(redis_client, OLD)
    thread.join(20)
    assert got
    assert got[0]
    assert redis_client.xlen(NEW.frames) == 1


def test_a_change_that_is_taken_back_changes_nothing(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE)
    camera.publisher.open_session(None)
    first = camera.publish()
    settle_all(redis_client, OLD)
    camera.hears_of(4)
    change_layout(redis_client, PREFIX, 2)  # of which it has not heard when it is to move
    second = camera.publish()
    assert first and second
    assert (second.session, second.seq) == (first.session, 1)
    assert read_snapshot(redis_client, NEW).sources == ()
    assert redis_client.xlen(OLD.events) == 1  # one session has begun, none has ended


def test_a_session_without_frames_waits_for_those_of_the_one_before(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    agree_on_layout(redis_client, PREFIX, 2)
    before = rig(SOURCE)
    before.publisher.open_session(None)
    before.publish()
    before.publisher.close_session("ended")
    after = rig(SOURCE)
    after.publisher.open_session(None)
    after.hears_of(4)
    assert after.publish()
    assert (redis_client.xlen(OLD.frames), redis_client.xlen(NEW.frames)) == (2, 0)
    settle_all(redis_client, OLD)
    assert after.publish()
    assert redis_client.xlen(NEW.frames) == 1


def test_a_source_does_not_wait_for_what_others_send_meanwhile(
    rig: Callable[..., Rig],
    redis_client: redis.Redis,
    wait_until: WaitUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("producer.sessions._PATIENCE_S", 0.0)
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE)
    camera.publisher.open_session(None)
    other: Any = redis_client.xadd(OLD.frames, {b"m": b"of another source"})
    camera.hears_of(4)
    before = looks(redis_client)
    got: list[Published | None] = []
    thread = threading.Thread(target=lambda: got.append(camera.publish()), daemon=True)
    thread.start()
    wait_until(lambda: looks(redis_client) > before + 3)
    redis_client.xadd(OLD.frames, {b"m": b"another one"})
    assert got == []
    redis_client.xdel(OLD.frames, other)
    thread.join(20)
    assert got
    assert got[0]
    assert (redis_client.xlen(OLD.frames), redis_client.xlen(NEW.frames)) == (1, 1)


def test_a_stop_ends_the_wait_and_the_session_where_it_is(
    rig: Callable[..., Rig], redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producer.sessions._PATIENCE_S", 0.0)
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE)
    camera.publisher.open_session(None)
    camera.publish()
    camera.hears_of(4)
    camera.stop.set()
    assert camera.publish() is None
    camera.publisher.close_session("ended")
    status = read_snapshot(redis_client, OLD).sources[0]
    assert (status.state, status.last_seq) == ("ended", 0)
    assert read_snapshot(redis_client, NEW).sources == ()


def test_without_workers_the_wait_has_an_end(
    rig: Callable[..., Rig], redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producer.sessions._PATIENCE_S", 0.0)
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE, full_timeout_s=0.05)
    camera.publisher.open_session(None)
    camera.publish()
    camera.hears_of(4)
    with pytest.raises(WorkersMissing, match=rf"{SOURCE}: what is left of it in partition"):
        camera.publish()


def test_a_new_producer_ends_the_session_of_one_that_lives_elsewhere(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    """One camera, one producer, also where they know of different partitions."""
    agree_on_layout(redis_client, PREFIX, 2)
    before = rig(SOURCE)
    before.publisher.open_session(None)
    before.publish()
    settle_all(redis_client, OLD)
    change_layout(redis_client, PREFIX, 4)
    after = rig(SOURCE)
    assert after.publisher.open_session(None)
    assert after.publish()
    with pytest.raises(Superseded):
        before.publish()  # it has not heard of the change yet
    before.layouts.look()
    with pytest.raises(Superseded):
        before.publish()
    assert after.publish()
    assert read_snapshot(redis_client, OLD).sources[0].state == "ended"


def test_a_producer_that_starts_after_the_change_waits_for_what_the_last_one_left(
    rig: Callable[..., Rig], redis_client: redis.Redis, wait_until: WaitUntil
) -> None:
    agree_on_layout(redis_client, PREFIX, 2)
    before = rig(SOURCE)
    before.publisher.open_session(None)
    before.publish()  # and then it was killed
    change_layout(redis_client, PREFIX, 4)
    after = rig(SOURCE)
    opened: list[bool] = []
    thread = threading.Thread(
        target=lambda: opened.append(after.publisher.open_session(None)), daemon=True
    )
    thread.start()
    wait_until(lambda: read_snapshot(redis_client, OLD).sources[0].state == "ended")
    assert read_snapshot(redis_client, NEW).sources == ()
    settle_all(redis_client, OLD)
    thread.join(20)
    assert opened == [True]


def test_a_camera_that_comes_back_comes_back_in_its_new_place(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE)
    camera.publisher.open_session(None)
    camera.publish()
    camera.publisher.close_session("offline")
    settle_all(redis_client, OLD)
    change_layout(redis_client, PREFIX, 4)
    assert camera.publisher.open_session(None)
    assert camera.publish()
    assert redis_client.xlen(NEW.frames) == 1
    assert read_snapshot(redis_client, OLD).sources[0].state == "offline"


def started(client: redis.Redis, keys: Keys) -> list[bool]:
    """Of each session that began there, whether it came from another partition."""
    entries: Any = client.xrange(keys.events)
    records = [decode_record(fields) for _, fields in entries]
    return [r.moved for r in records if isinstance(r, SourceRecord) and r.state == "started"]


def test_a_source_has_moved_once_whatever_it_does_afterwards(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE)
    camera.publisher.open_session(None)
    camera.hears_of(4)
    camera.publish()
    redis_client.xadd(OLD.frames, {b"m": b"of another source"})  # not worth waiting for
    for _ in range(2):
        camera.publisher.close_session("offline")
        assert camera.publisher.open_session(None)
    assert started(redis_client, OLD) == [False]
    assert started(redis_client, NEW) == [True, False, False]
    redis_client.delete(OLD.frames)
    change_layout(redis_client, PREFIX, 2)
    settle_all(redis_client, NEW)
    camera.layouts.look()
    camera.publish()
    assert started(redis_client, OLD) == [False, True]


def test_a_source_waits_until_everybody_has_heard_of_its_new_place(
    rig: Callable[..., Rig], redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE)
    monkeypatch.setattr("producer.sessions._HEARD_S", 3600.0)
    camera.publisher.open_session(None)
    camera.hears_of(4)
    assert camera.publish()
    assert redis_client.xlen(OLD.frames) == 1


def test_a_source_whose_producer_was_killed_long_ago_is_not_waited_for(
    redis_url: str, redis_client: redis.Redis
) -> None:
    agree_on_layout(redis_client, PREFIX, 2)
    minutes_ago_ns = time.time_ns() - 120 * 10**9
    redis_client.hset(OLD.fence, SOURCE, f"1:s1:7:started:{minutes_ago_ns}")
    assert emotion_worker(["partitions", "4", "--redis", redis_url, "--timeout", "5"]) == 0
    redis_client.xadd(OLD.frames, {b"m": b"a frame that it left"})
    assert read_spread(redis_client, PREFIX).to_move == [(SOURCE, OLD.partition, NEW.partition)]


def test_the_command_says_who_has_not_moved(
    rig: Callable[..., Rig],
    redis_url: str,
    redis_client: redis.Redis,
    capsys: pytest.CaptureFixture[str],
) -> None:
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE)
    camera.publisher.open_session(None)
    server = ["--redis", redis_url]
    assert emotion_worker(["partitions", "4", *server, "--timeout", "0.1"]) == 1
    error = capsys.readouterr().err
    assert f"Yet to move: {SOURCE} ({OLD.partition} to {NEW.partition})" in error
    assert emotion_worker(["partitions", "4", *server, "--no-wait", "--format", "json"]) == 0
    assert '"settled": false' in capsys.readouterr().out
    camera.layouts.look()
    camera.publish()
    assert emotion_worker(["partitions", *server]) == 0
    assert "Every source is where it belongs." in capsys.readouterr().out
