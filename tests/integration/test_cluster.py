"""A real Redis Cluster: two partitions on two masters, and what is left when one of them dies."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import redis

from consumer import EventReader
from consumer.cli import main as emotion_events
from consumer.tail import Tail
from contract import keys as names
from contract.connect import check, connect, is_passing
from contract.errors import AccessDenied, BrokerUnavailable, UsageError
from contract.event import EmotionEvent, decode_record
from contract.keys import Keys
from contract.partitions import Layout, agree_on_layout
from contract.snapshot import read_snapshot
from tests.conftest import optional_tool
from tests.integration.clips import write_video
from tests.integration.processes import RoleProcess
from tests.integration.redis_cluster import Cluster, Node
from tests.integration.sources import source_in
from tests.ports import free_ports
from worker.delivery import Delivery, Settlement
from worker.frames import RedisFrameQueue
from worker.partitions import PartitionedQueue

PACED = "tests.paced_worker"
FRAMES, FRAME_MS = 200, 25
SOCKET_TIMEOUT_S = 5.0


@pytest.fixture(scope="module")
def shared_cluster(
    tmp_path_factory: pytest.TempPathFactory, wait_until: Callable[..., None]
) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), wait_until)
    yield cluster
    cluster.close()


@pytest.fixture
def cluster(shared_cluster: Cluster, wait_until: Callable[..., None]) -> Cluster:
    """Whole and empty."""
    wait_until(lambda: shared_cluster.is_whole, what="a whole cluster")
    for node in shared_cluster.nodes:
        if node.is_master:
            node.ask("FLUSHALL")
    return shared_cluster


@pytest.fixture
def client(cluster: Cluster) -> Iterator[redis.Redis]:
    client = connect(cluster.url, retries=0)
    yield client
    client.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds."""
    times_ms = range(0, FRAMES * FRAME_MS, FRAME_MS)
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", times_ms, width=64, height=48)


BOTH = (Keys("emotion", 0), Keys("emotion", 1))
SOURCES = (source_in(0), source_in(1))


def make_queue(
    client: redis.Redis, settled: list[bool] | None = None, consumer: str = "w"
) -> PartitionedQueue:
    return PartitionedQueue(
        lambda number: RedisFrameQueue(client, BOTH[number], consumer, lease_s=0.2),
        lambda: 2,
        shared=False,
        timeout_s=30.0,
        on_settled=lambda _, ours: None if settled is None else settled.append(ours),
        on_outage=lambda: None,
        pause=time.sleep,
    )


def publish(client: redis.Redis, keys: Keys, count: int) -> None:
    """What publish.lua does, without its fence."""
    client.hincrby(keys.stats, names.PUBLISHED, count)
    for number in range(count):
        client.xadd(keys.frames, {"m": f"frame {number}"})


def test_the_two_partitions_are_on_two_masters(cluster: Cluster) -> None:
    ports = {cluster.master_of(keys.frames).port for keys in BOTH}
    assert len(ports) == 2
    for keys in BOTH:  # and all keys of one are together
        assert len({cluster.master_of(key).port for key in (keys.events, keys.fence)}) == 1


def test_the_url_of_one_node_or_of_no_cluster_is_one_clear_line(
    cluster: Cluster, redis_url: str
) -> None:
    port = cluster.nodes[0].port
    url = f"redis://127.0.0.1:{port}/0"
    with (
        connect(url) as single,
        pytest.raises(UsageError, match=rf"its URL is redis\+cluster://127.0.0.1:{port}$"),
    ):
        check(single, url)
    with pytest.raises(UsageError, match=r"redis\+cluster://127.* is no cluster"):
        connect(redis_url.replace("redis://", "redis+cluster://"))
    with pytest.raises(
        AccessDenied, match=r"Redis Cluster at redis\+cluster://\*\*\*@127.* refused"
    ):
        connect(f"redis+cluster://:secret@127.0.0.1:{port}")
    with pytest.raises(BrokerUnavailable, match=r"no Redis Cluster at redis\+cluster://127"):
        connect("redis+cluster://127.0.0.1:1")


def test_a_batch_of_both_partitions_is_settled_through_the_cluster(
    cluster: Cluster, client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    assert agree_on_layout(client, "emotion", 2) == Layout(2)
    settled: list[bool] = []
    queue = make_queue(client, settled)
    assert queue.read(8, 0.1) == []  # groups are made
    for keys in BOTH:
        publish(client, keys, 3)
    batch = queue.read(8, 1.0)
    assert Counter(delivery.partition for delivery in batch) == {0: 3, 1: 3}
    assert queue.renew() == 6
    assert [queue.attempt(delivery) for delivery in batch] == [1] * 6
    claimed: list[Delivery] = []
    other = make_queue(client, consumer="other")
    wait_until(lambda: bool(claimed.extend(other.recover(8)) or len(claimed) == 6))
    assert {delivery.entry_id for delivery in claimed} == {d.entry_id for d in batch}
    assert queue.renew() == 0  # they are another's now
    queue.settle([Settlement(delivery, "event", b"e") for delivery in batch])
    assert settled == [True] * 6
    assert sorted(queue.report()) == [0, 1]
    for each in (queue, other):
        each.leave()
    for keys in BOTH:
        snapshot = read_snapshot(client, keys)
        assert (snapshot.events, snapshot.backlog, snapshot.pending) == (3, 0, 0)
        assert snapshot.unaccounted == 0
        assert snapshot.workers == ()


@pytest.fixture
def secret_node(tmp_path: Path, wait_until: Callable[..., None]) -> Iterator[tuple[Node, str]]:
    """A cluster of one node behind TLS and a password, and its place with the certificate."""
    openssl = optional_tool("openssl", shutil.which("openssl"))
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    out = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*make, *name, *out], check=True, capture_output=True, timeout=30)
    port, bus_port = free_ports(2)
    place = f"127.0.0.1:{port}?ssl_ca_certs={certificate}"
    options = {
        "port": 0,
        "tls-port": port,
        "tls-cluster": "yes",  # or it tells its clients the port without TLS
        "tls-auth-clients": "no",
        "tls-cert-file": certificate,
        "tls-key-file": key,
        "tls-ca-cert-file": certificate,
        "requirepass": "s/cret",
    }
    node = Node(tmp_path / "node", port, bus_port, f"rediss://:s%2Fcret@{place}", options)
    try:
        wait_until(lambda: node.ask("PING") == "PONG")
        node.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: "cluster_state:ok" in node.ask("CLUSTER", "INFO"))
        yield node, place
    finally:
        node.close()


def test_a_cluster_behind_tls_and_a_password(
    secret_node: tuple[Node, str],
    wait_until: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    node, place = secret_node
    url = f"rediss+cluster://:s%2Fcret@{place}"
    with RoleProcess(PACED, "--redis", url, "--partitions", "2") as worker:
        assert worker.log("ready")["redis"] == f"rediss+cluster://***@127.0.0.1:{node.port}"
        for keys in BOTH:
            wait_until(lambda key=keys.frames: node.ask("EXISTS", key) == "1")
        assert emotion_events(["status", "--redis", url, "--format", "json"]) == 0
        assert len(json.loads(capsys.readouterr().out)["workers"]) == 1
    for wrong in (f"rediss+cluster://:other@{place}", f"rediss+cluster://127.0.0.1:{node.port}"):
        assert emotion_events(["status", "--redis", wrong]) == 2
        message = capsys.readouterr().err
        assert "Redis Cluster at rediss+cluster://" in message and "refused us" in message
        assert "other" not in message


def test_nothing_asks_the_node_of_another_partition(cluster: Cluster, client: redis.Redis) -> None:
    """As redis-py does by itself: the default node for the keys of XREAD and XREADGROUP, and every
    master to take a script that one of them does not know."""
    here, away = BOTH
    publish(client, here, 1)
    queue = RedisFrameQueue(client, here, "w")
    assert queue.recover(1) == []
    node = cluster.master_of(away.frames)
    assert client.set_default_node(client.get_node(host="127.0.0.1", port=node.port))  # type: ignore[attr-defined]
    cluster.master_of(here.frames).ask("SCRIPT", "FLUSH")
    node.send(signal.SIGSTOP)
    try:
        (delivery,) = queue.read(1, 0.1)
        assert queue.settle([Settlement(delivery, "event", b"e")]) == [True]
        assert client.xread({here.events: "0"}, count=1)
        tail = Tail(client, here.events, "beginning")
        tail.open()
        assert len(tail.fetch(5).entries) == 1
    finally:
        node.send(signal.SIGCONT)


@pytest.mark.parametrize("retries", [0, 3])
def test_a_lost_reply_to_a_read_that_hands_out_work_is_not_repeated_unasked(
    cluster: Cluster, wait_until: Callable[..., None], retries: int
) -> None:
    """Redis cuts the connection while the read waits: was anything handed out? Only the caller can
    look it up, so with `retries=0` the caller is told."""
    client = connect(cluster.url, retries=retries)
    queue = RedisFrameQueue(client, BOTH[1], "w")
    queue.recover(1)
    node = cluster.master_of(BOTH[1].frames)
    outcome: list[object] = []

    def read() -> None:
        try:
            for _ in range(40):  # 20 s
                queue.read(1, 0.5)
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        wait_until(lambda: "cmd=xreadgroup" in node.ask("CLIENT", "LIST"))
        waiting = next(
            line for line in node.ask("CLIENT", "LIST").splitlines() if "cmd=xreadgroup" in line
        )
        node.ask("CLIENT", "KILL", "ID", waiting.split()[0].removeprefix("id="))
        if retries:
            # The control: it reads on as if nothing had been.
            wait_until(lambda: "cmd=xreadgroup" in node.ask("CLIENT", "LIST"))
            client.xgroup_destroy(BOTH[1].frames, names.WORKERS_GROUP)
            client.set(BOTH[1].frames, "no stream")
        thread.join(15)
    finally:
        client.close()
    (error,) = outcome
    if retries:  # what took its place, or that the stream it waited in went
        assert isinstance(error, redis.ResponseError)
    else:
        assert isinstance(error, redis.ConnectionError)
        assert is_passing(error)


class Watcher:
    """A reader in a thread, and when it had what of each source."""

    def __init__(self, url: str, **options: object) -> None:
        self.events: list[tuple[float, EmotionEvent]] = []
        self.reader = EventReader(url, start="beginning", **options)  # type: ignore[arg-type]
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            with self.reader as reader:
                for event in reader:
                    self.events.append((time.monotonic(), event))
        except BaseException as error:
            self.error = error

    @property
    def ids(self) -> list[str]:
        return [event.id for _, event in self.events]

    def longest_gap_s(self, source: str, since_s: float) -> float:
        """Without an event of the source, from then on."""
        times_s = [at_s for at_s, event in self.events if event.source == source]
        times_s = [since_s, *(at_s for at_s in times_s if at_s > since_s)]
        return max(b - a for a, b in pairwise(times_s))

    def close(self) -> None:
        self.reader.stop()
        self._thread.join(20)


@pytest.mark.parametrize("how", ["handed over", "killed", "severed", "frozen"])
def test_a_master_dies_and_its_replica_takes_over(
    cluster: Cluster,
    clip: Path,
    wait_until: Callable[..., None],
    how: str,
    record_property: Callable[[str, object], None],
) -> None:
    """handed over: by an operator. killed: SIGKILL. severed: SIGKILL while its replica is cut
    off, so that it lacks the last frames. frozen: SIGSTOP, so that every call to it ends by the
    socket time-out; it comes back as a replica.
    """
    here, dying = BOTH
    server = ("--redis", cluster.url, "--redis-timeout", "30")
    with ExitStack() as stack:
        worker = (PACED, *server, "--partitions", "2", "--batch-size", "4")
        workers = [stack.enter_context(RoleProcess(*worker)) for _ in range(2)]
        for process in workers:
            process.log("ready")
        alone, member = Watcher(cluster.url), Watcher(cluster.url, group="g")
        stack.callback(alone.close)
        stack.callback(member.close)
        producers = [
            stack.enter_context(RoleProcess("producer", *server, str(clip), "--source-id", source))
            for source in SOURCES
        ]
        for watcher in (alone, member):
            for source in SOURCES:
                wait_until(lambda w=watcher, s=source: count(w, s) >= 40)

        idle = connect(cluster.url, retries=0)
        stack.callback(idle.close)
        master = cluster.master_of(dying.frames)
        published_before = 0
        if how == "severed":
            with sever(cluster, master, dying, wait_until) as published_before:
                master.stop()
        elif how == "killed":
            master.stop()
        elif how == "frozen":
            master.send(signal.SIGSTOP)
        else:
            cluster.replica_of(master).ask("CLUSTER", "FAILOVER")
        died_s = time.monotonic()

        for process in producers:
            assert process.wait(40) == 0
        if how == "killed":  # who has not noticed yet, learns by one failure who the master is
            probe = RedisFrameQueue(idle, dying, "probe").probe
            with pytest.raises(redis.ConnectionError):
                probe()
            probe()
        replica = connect(cluster.url)
        stack.callback(replica.close)
        wait_until(lambda: all(read_snapshot(replica, keys).backlog == 0 for keys in BOTH), 40)
        for keys in BOTH:
            for watcher in (alone, member):
                wait_until(lambda k=keys, w=watcher: events(replica, k) <= set(w.ids))
        for process in workers:
            process.send(signal.SIGTERM)
            assert process.wait(20) == 0
        for watcher in (alone, member):
            watcher.close()
            assert watcher.error is None
            assert len(watcher.ids) == len(set(watcher.ids))
        for process in (*workers, *producers):
            assert not any("Traceback" in line for line in process.lines)

        for keys in BOTH:
            snapshot = read_snapshot(replica, keys)
            assert (snapshot.unaccounted, snapshot.pending, snapshot.dead) == (0, 0, 0)
            assert snapshot.events == len(events(replica, keys))
        # The producer was told of every frame of the clip that Redis had it.
        lost = {keys.partition: FRAMES - read_snapshot(replica, keys).published for keys in BOTH}
        assert lost[here.partition] == 0
        if how == "severed":
            assert lost[dying.partition] >= 8
        # Only the last were lost (below), so they were accepted within a second before.
        assert lost[dying.partition] <= (0 if how == "handed over" else 1000 // FRAME_MS)
        for name, value in {
            "lost": lost[dying.partition],
            "gap_here_s": round(alone.longest_gap_s(SOURCES[0], died_s), 2),
            "gap_dying_s": round(alone.longest_gap_s(SOURCES[1], died_s), 2),
            "repeats": (alone.reader.repeats, member.reader.repeats),
        }.items():
            record_property(name, value)
            print(how, name, value)
        check_only_the_last_were_lost(replica, dying, lost[dying.partition], published_before)
        assert alone.longest_gap_s(SOURCES[0], died_s) < SOCKET_TIMEOUT_S + 1.0
        if how == "frozen":
            master.send(signal.SIGCONT)
        elif how != "handed over":
            master.start()


@contextmanager
def sever(
    cluster: Cluster, master: Node, keys: Keys, wait_until: Callable[..., None]
) -> Iterator[int]:
    """Cut off the replica until the block ends, and wait until the master has frames that it lacks.
    Yields how many frames there were before."""

    def published() -> int:
        return int(master.ask("HGET", keys.stats, names.PUBLISHED))

    replica = cluster.replica_of(master)
    replica.send(signal.SIGSTOP)  # or it would be connected again at once
    try:
        before = published()
        master.ask("CLIENT", "KILL", "TYPE", "REPLICA")
        enough = published() + 8
        wait_until(lambda: published() >= enough)
        yield before
    finally:
        replica.send(signal.SIGCONT)


def check_only_the_last_were_lost(
    client: redis.Redis, keys: Keys, lost: int, published_before: int
) -> None:
    """Every session's frames are there without a gap, and what Redis had before it was cut off."""
    seqs: dict[str, list[int]] = {}
    for event in decoded(client, keys):
        seqs.setdefault(event.session, []).append(event.seq)
    assert all(sorted(found) == list(range(len(found))) for found in seqs.values())
    assert len(seqs) == (2 if lost else 1)  # a new session where some were lost, and only there
    first = min(seqs)  # named by their time
    assert len(seqs[first]) >= published_before


def decoded(client: redis.Redis, keys: Keys) -> list[EmotionEvent]:
    records = [decode_record(entry) for _, entry in client.xrange(keys.events)]  # type: ignore[union-attr,misc]
    return [record for record in records if isinstance(record, EmotionEvent)]


def events(client: redis.Redis, keys: Keys) -> set[str]:
    return {event.id for event in decoded(client, keys)}


def count(watcher: Watcher, source: str) -> int:
    return sum(event.source == source for _, event in list(watcher.events))
