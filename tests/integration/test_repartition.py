"""The number of partitions changes while all runs: nothing is lost, and nothing overtaken."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from prometheus_client import CollectorRegistry

from consumer import EventReader
from consumer.order import in_order
from contract.connect import connect
from contract.errors import BrokerError, Superseded, WorkersMissing
from contract.event import EmotionEvent, Record, SourceRecord, decode_record
from contract.keys import WORKERS_GROUP, Keys, config_key, partition_of
from contract.layout_watch import LayoutWatch
from contract.partitions import Layout, agree_on_layout, change_layout, read_layout
from contract.snapshot import read_snapshot
from producer.encode import encode_jpeg
from producer.heartbeat import Heartbeat
from producer.metrics import ProducerMetrics
from producer.publish import Published, Publisher
from tests.integration.clips import write_video
from tests.integration.processes import RoleProcess
from worker.cli import main as emotion_worker
from worker.repartition.spread import read_spread

pytestmark = pytest.mark.both_servers

PACED = "tests.paced_worker"
PREFIX = "emotion"
JPEG = encode_jpeg(np.zeros((8, 8, 3), np.uint8), max_width=64, quality=50)
WaitUntil = Callable[..., None]


def moving(before: int, after: int) -> str:
    """A source that lives in another partition after the change."""
    names = (f"cam{number}" for number in range(100))
    return next(n for n in names if partition_of(n, before) != partition_of(n, after))


class Readers:
    """What readers got, one alone and one in a group, each in a thread."""

    def __init__(self, url: str) -> None:
        self.alone: list[Record] = []
        self.group: list[Record] = []
        self._readers = [
            EventReader(url, start="beginning", batch=16),
            EventReader(url, start="beginning", batch=16, group="g"),
        ]
        self._threads = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in zip(self._readers, (self.alone, self.group), strict=True)
        ]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for reader, thread in zip(self._readers, self._threads, strict=True):
            reader.stop()
            thread.join(20)
        assert sum(reader.missed + reader.repeats for reader in self._readers) == 0

    def have(self, events: int) -> bool:
        """Whether both have so many."""
        return all(
            sum(isinstance(record, EmotionEvent) for record in list(got)) == events
            for got in (self.alone, self.group)
        )

    @staticmethod
    def _read(reader: EventReader, got: list[Record]) -> None:
        with reader:
            got.extend(reader.records())


def check_one_after_the_other(records: list[Record], source: str) -> int:
    """Each session of a source is whole, and over before the next begins. How many there were."""
    seqs: dict[str, list[int]] = defaultdict(list)
    frames: dict[str, int | None] = {}
    current = None
    for record in records:
        if record.source != source:
            continue
        if isinstance(record, EmotionEvent):
            assert record.session == current
            seqs[current].append(record.seq)
        elif record.state == "started":
            assert (record.moved, frames.keys()) == (bool(seqs), seqs.keys())
            current = record.session
            seqs[current] = []
        else:
            assert record.session == current
            frames[current] = record.frames
            # A source that ends for good does so before its last frames are settled.
            assert not record.moved or len(seqs[current]) == record.frames
    assert {session: list(range(n or 0)) for session, n in frames.items()} == {
        session: sorted(found) for session, found in seqs.items()
    }
    return len(seqs)


def test_sources_move_under_load_and_readers_get_one_session_after_the_other(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path, wait_until: WaitUntil
) -> None:
    clip = write_video(tmp_path / "clip.mp4", range(0, 1200, 40))
    sources = [f"cam{number}" for number in range(6)]
    named = [word for source in sources for word in ("--source-id", source)]
    server = ("--redis", redis_url)
    pace = {"PACED_BATCH_S": "0.02", "PACED_LEASE_S": "1"}

    def events(partition: int) -> int:
        return read_snapshot(redis_client, Keys(PREFIX, partition)).events

    with ExitStack() as stack:
        worker = (PACED, *server)
        stack.enter_context(RoleProcess(*worker, "--partitions", "2", environment=pace)).log(
            "ready"
        )
        killed = stack.enter_context(RoleProcess(*worker, environment=pace))
        readers = stack.enter_context(Readers(redis_url))
        producer = stack.enter_context(
            RoleProcess(
                "producer", *server, *[str(clip)] * 6, *named, "--loop", "--mode", "lossless"
            )
        )
        wait_until(lambda: events(0) > 20 and events(1) > 20)

        assert emotion_worker(["partitions", "4", *server, "--timeout", "60"]) == 0
        assert read_layout(redis_client, PREFIX) == Layout(4, (2,))
        killed.send(signal.SIGKILL)  # what it held is claimed
        for partition in {partition_of(source, 4) for source in sources} - {0, 1}:
            wait_until(lambda partition=partition: events(partition) > 20)

        assert emotion_worker(["partitions", "1", *server, "--timeout", "60"]) == 0
        spread = read_spread(redis_client, PREFIX)
        assert {source.source for source in spread.running(0)} == set(sources)
        assert all(snapshot.backlog == 0 for snapshot in spread.partitions[1:])
        late = events(0)
        wait_until(lambda: events(0) > late + 20)
        producer.send(signal.SIGTERM)
        assert producer.wait() == 0
        wait_until(lambda: read_snapshot(redis_client, Keys(PREFIX, 0)).backlog == 0)
        everything = [read_snapshot(redis_client, Keys(PREFIX, number)) for number in range(4)]
        wait_until(lambda: readers.have(sum(snapshot.events for snapshot in everything)))

    assert all((s.unaccounted, s.backlog, s.dead) == (0, 0, 0) for s in everything)
    for got in (readers.alone, readers.group):
        sessions = {source: check_one_after_the_other(got, source) for source in sources}
        assert sessions == {
            source: 1 + (partition_of(source, 2) != partition_of(source, 4))
            + (partition_of(source, 4) != 0)
            for source in sources
        }  # fmt: skip
        published = sum(snapshot.published for snapshot in everything)
        assert sum(isinstance(record, EmotionEvent) for record in got) == published
        assert [r for r in in_order(got) if r.source == "cam0"]  # nothing to complain about


def history(client: redis.Redis, source: str, frames: int) -> None:
    """Two sessions of a source that moved from one of two partitions into one of four."""
    before, after = (Keys(PREFIX, partition_of(source, number)) for number in (2, 4))
    agree_on_layout(client, PREFIX, 2)
    change_layout(client, PREFIX, 4)

    add_session(client, before, source, "s1", frames)
    add_session(client, after, source, "s2", frames, came=True)


def add_session(
    client: redis.Redis, keys: Keys, source: str, session: str, frames: int, *, came: bool = False
) -> None:
    """One that came from another partition, or one that goes there."""

    def add(record: Record) -> None:
        client.xadd(keys.events, {b"m": record.encode()})

    add(SourceRecord(source, session, "started", 1, None, moved=came))
    for seq in range(frames):
        add(EmotionEvent(source, session, seq, seq, None, seq, 64, 48, "m@1", ()))
    add(SourceRecord(source, session, "ended", 1, frames, moved=not came))


@pytest.mark.parametrize("group", [None, "g"])
def test_a_reader_far_behind_gets_the_old_session_first(
    redis_url: str, redis_client: redis.Redis, group: str | None
) -> None:
    source = moving(2, 4)
    history(redis_client, source, 300)
    with EventReader(redis_url, start="beginning", group=group, batch=8, idle_s=20) as reader:
        sessions = [record.session for record in islice(reader.records(), 604)]
    assert sessions == ["s1"] * 302 + ["s2"] * 302


@pytest.mark.parametrize("group", [None, "g"])
def test_a_reader_that_has_yet_to_hear_of_a_partition_gets_what_is_there_first(
    redis_url: str,
    redis_client: redis.Redis,
    group: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumer.streams.LOOK_EVERY_S", 3600.0)
    source = moving(1, 4)
    away, here = Keys(PREFIX, partition_of(source, 4)), Keys(PREFIX, 0)
    agree_on_layout(redis_client, PREFIX, 1)
    with EventReader(redis_url, start="beginning", group=group, idle_s=20) as reader:
        change_layout(redis_client, PREFIX, 4)
        add_session(redis_client, away, source, "s1", 5)
        change_layout(redis_client, PREFIX, 1)
        add_session(redis_client, here, source, "s2", 5, came=True)
        sessions = [record.session for record in islice(reader.records(), 14)]
    assert sessions == ["s1"] * 7 + ["s2"] * 7


def test_a_reader_of_another_source_does_not_wait(
    redis_url: str, redis_client: redis.Redis
) -> None:
    history(redis_client, moving(2, 4), 3)
    with EventReader(redis_url, start="beginning", sources=["other"], idle_s=0.3) as reader:
        assert list(reader.records()) == []


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
    change_layout(redis_client, PREFIX, 4)
    camera.layouts.look()
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
    change_layout(redis_client, PREFIX, 4)
    camera.layouts.look()
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
    change_layout(redis_client, PREFIX, 4)
    camera.layouts.look()
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
    change_layout(redis_client, PREFIX, 4)
    after.layouts.look()
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
    change_layout(redis_client, PREFIX, 4)
    camera.layouts.look()
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


def test_a_camera_that_comes_back_does_not_wait_for_a_partition_it_has_left(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE, full_timeout_s=0.05)
    camera.publisher.open_session(None)
    camera.publish()
    settle_all(redis_client, OLD)
    change_layout(redis_client, PREFIX, 4)
    camera.layouts.look()
    camera.publish()
    camera.publisher.close_session("offline")
    redis_client.xadd(OLD.frames, {b"m": b"of another source"})
    assert camera.publisher.open_session(None)
    assert camera.publish()


def test_a_stop_ends_the_wait_and_the_session_where_it_is(
    rig: Callable[..., Rig], redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producer.sessions._PATIENCE_S", 0.0)
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE)
    camera.publisher.open_session(None)
    camera.publish()
    change_layout(redis_client, PREFIX, 4)
    camera.layouts.look()
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
    change_layout(redis_client, PREFIX, 4)
    camera.layouts.look()
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
    change_layout(redis_client, PREFIX, 4)
    camera.layouts.look()
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


def test_a_change_that_is_taken_back_in_the_last_moment_moves_nobody(
    rig: Callable[..., Rig], redis_client: redis.Redis
) -> None:
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE)
    camera.publisher.open_session(None)
    change_layout(redis_client, PREFIX, 4)
    camera.layouts.look()
    change_layout(redis_client, PREFIX, 2)
    sent = camera.publish()
    assert sent
    assert redis_client.xlen(OLD.frames) == 1
    assert started(redis_client, OLD) == [False]


def test_a_source_whose_last_reply_was_lost_waits_for_no_more_than_was_there(
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
    camera.publisher._sessions._newest = b"+"
    change_layout(redis_client, PREFIX, 4)
    camera.layouts.look()
    got: list[Published | None] = []
    thread = threading.Thread(target=lambda: got.append(camera.publish()), daemon=True)
    before = looks(redis_client)
    thread.start()
    wait_until(lambda: looks(redis_client) > before + 3)
    mine = redis_client.xrange(OLD.frames)[0][0]  # type: ignore[index]
    redis_client.xadd(OLD.frames, {b"m": b"of a source that stays"})
    redis_client.xdel(OLD.frames, mine)
    thread.join(20)
    assert got
    assert redis_client.xlen(NEW.frames) == 1


def test_a_source_waits_until_everybody_has_heard_of_its_new_place(
    rig: Callable[..., Rig], redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    agree_on_layout(redis_client, PREFIX, 2)
    camera = rig(SOURCE)
    monkeypatch.setattr("producer.sessions._HEARD_S", 3600.0)
    camera.publisher.open_session(None)
    change_layout(redis_client, PREFIX, 4)
    camera.layouts.look()
    assert camera.publish()
    assert redis_client.xlen(OLD.frames) == 1


def test_sources_that_change_places_are_both_read_in_order(
    redis_url: str, redis_client: redis.Redis
) -> None:
    """What ends a session may lie behind the beginning of another one, in one batch."""
    agree_on_layout(redis_client, PREFIX, 2)

    def add(partition: int, *record: Any, moved: bool = False) -> None:
        entry = SourceRecord(*record, moved=moved)
        redis_client.xadd(Keys(PREFIX, partition).events, {b"m": entry.encode()})

    add(0, "x", "x1", "started", 1)
    add(1, "y", "y1", "started", 1)
    add(1, "y", "y1", "ended", 1, 0, moved=True)
    add(0, "y", "y2", "started", 9, moved=True)  # its producer's clock is ahead
    add(0, "x", "x1", "ended", 1, 0, moved=True)
    time.sleep(0.002)  # ids of two streams are compared by the millisecond
    add(1, "x", "x2", "started", 1, moved=True)
    with EventReader(redis_url, start="beginning", idle_s=20) as reader:
        found = [(r.session, r.state) for r in islice(reader.records(), 6)]
    for source in "xy":
        assert [session for session, _ in found if session[0] == source] == [
            f"{source}1", f"{source}1", f"{source}2",
        ]  # fmt: skip


def test_a_group_that_was_away_while_partitions_came_misses_nothing(
    redis_url: str, redis_client: redis.Redis
) -> None:
    source = moving(2, 4)
    agree_on_layout(redis_client, PREFIX, 2)
    with EventReader(redis_url, group="g", idle_s=0.01) as reader:
        assert list(reader.records()) == []
    history(redis_client, source, 3)
    with EventReader(redis_url, group="g", idle_s=20) as reader:
        assert [r.session for r in islice(reader.records(), 10)] == ["s1"] * 5 + ["s2"] * 5
    with EventReader(redis_url, group="new", idle_s=0.01) as reader:
        assert list(reader.records()) == []


def test_a_reader_that_cannot_begin_leaves_nobody_behind(
    redis_url: str, redis_client: redis.Redis
) -> None:
    redis_client.set(Keys(PREFIX).events, "no stream")
    with pytest.raises(BrokerError, match="WRONGTYPE"):
        EventReader(redis_url).next_record()
    wait = [thread for thread in threading.enumerate() if thread.name == "layout"]
    for thread in wait:
        thread.join(10)
    assert not any(thread.is_alive() for thread in wait)


def test_a_reader_that_nobody_closes_leaves_nobody_behind(redis_url: str) -> None:
    reader = EventReader(redis_url, idle_s=0.01)
    assert list(reader.records()) == []
    watching = [thread for thread in threading.enumerate() if thread.name == "layout"]
    assert watching
    del reader
    gc.collect()
    for thread in watching:
        thread.join(10)
    assert not any(thread.is_alive() for thread in watching)


def test_a_source_whose_producer_was_killed_long_ago_is_not_waited_for(
    rig: Callable[..., Rig], redis_url: str, redis_client: redis.Redis
) -> None:
    agree_on_layout(redis_client, PREFIX, 2)
    minutes_ago_ns = time.time_ns() - 120 * 10**9
    redis_client.hset(OLD.fence, SOURCE, f"1:s1:7:started:{minutes_ago_ns}")
    assert emotion_worker(["partitions", "4", "--redis", redis_url, "--timeout", "5"]) == 0
    redis_client.xadd(OLD.frames, {b"m": b"a frame that it left"})
    assert read_spread(redis_client, PREFIX).to_move == [(SOURCE, OLD.partition, NEW.partition)]


def test_nonsense_in_place_of_the_number_is_put_right(redis_client: redis.Redis) -> None:
    redis_client.hset(config_key(PREFIX), "partitions", "many")
    assert change_layout(redis_client, PREFIX, 2) == Layout(2)
    assert read_layout(redis_client, PREFIX) == Layout(2)


def test_a_change_is_refused_when_it_makes_no_sense(
    redis_url: str, redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    server = ["--redis", redis_url]
    assert emotion_worker(["partitions", "0", *server]) == 2
    assert emotion_worker(["partitions", "four", *server]) == 2
    assert redis_client.dbsize() == 0
    assert emotion_worker(["partitions", *server]) == 0
    assert "Nothing has run yet" in capsys.readouterr().out


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
