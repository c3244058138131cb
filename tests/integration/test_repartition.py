"""The number of partitions changes while all runs: nothing is lost, and nothing overtaken."""

from __future__ import annotations

import signal
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from consumer import EventReader
from consumer.order import in_order
from contract.event import EmotionEvent, Record
from contract.keys import Keys, config_key, partition_of
from contract.partitions import Layout, change_layout, read_layout
from contract.snapshot import read_snapshot
from tests.integration.clips import write_video
from tests.integration.processes import RoleProcess
from worker.cli import main as emotion_worker
from worker.repartition.spread import read_spread

pytestmark = pytest.mark.both_servers

PREFIX = "emotion"
WaitUntil = Callable[..., None]
PACED = "tests.paced_worker"


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
