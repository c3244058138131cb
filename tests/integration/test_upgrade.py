"""An upgrade while everything runs: roles of two releases side by side, in the right order and not.

"now" is this code. "next" reads version 2 of the wire as well and sends 1, "last" also sends 2 (see
`tests.next_release`): the three releases over which a version comes in.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import msgpack
import pytest
import redis

from consumer import EventReader
from contract import wire
from contract.keys import Keys
from contract.snapshot import Snapshot, read_snapshot
from tests.integration.clips import write_video
from tests.integration.processes import RoleProcess

KEYS = Keys()
FRAMES = 200
RECORDS = 2  # started, ended
SKIPPING = "skipping entries that are no events"

Release = Literal["now", "next", "last"]
WaitUntil = Callable[..., None]


def role(release: Release, module: str, *arguments: str, stdout: Path | None = None) -> RoleProcess:
    environment = {"PACED_MODEL": f"{release}@0", "PACED_BATCH_S": "0.02"}
    if release == "now":
        return RoleProcess(module, *arguments, stdout=stdout, environment=environment)
    environment["NEXT_SENDS"] = "1" if release == "next" else "2"
    launcher = "tests.next_release"
    return RoleProcess(launcher, module, *arguments, stdout=stdout, environment=environment)


def reader(release: Release, url: str, printed: Path) -> RoleProcess:
    arguments = ("--redis", url, "--from", "beginning", "--format", "jsonl")
    return role(release, "consumer", *arguments, stdout=printed)


def worker(release: Release, url: str) -> RoleProcess:
    started = role(release, "tests.paced_worker", "--redis", url, "--batch-size", "4")
    started.log("ready")
    return started


def produce(release: Release, url: str, clip: Path) -> RoleProcess:
    arguments = ("--redis", url, "--source-id", release, "--no-realtime")
    return role(release, "producer", str(clip), *arguments)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", range(0, 5 * FRAMES, 5))


def messages(client: redis.Redis) -> list[dict[str, object]]:
    """What is in the stream of events, as any program would read it."""
    return [msgpack.unpackb(entry[wire.FIELD]) for _, entry in client.xrange(KEYS.events)]


def printed_lines(path: Path) -> list[dict[str, object]]:
    text = path.read_text("utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def all_ids(*sources: Release) -> list[tuple[str, int]]:
    return [(source, seq) for source in sorted(sources) for seq in range(FRAMES)]


def ids(events: list[dict[str, object]]) -> list[tuple[object, object]]:
    return sorted((event["source"], event["seq"]) for event in events if event["kind"] == "frame")


@pytest.mark.parametrize(
    ("older", "newer", "versions"), [("now", "next", {1}), ("next", "last", {1, 2})]
)
def test_two_releases_that_follow_each_other_share_the_work(
    redis_url: str,
    redis_client: redis.Redis,
    clip: Path,
    tmp_path: Path,
    wait_until: WaitUntil,
    older: Release,
    newer: Release,
    versions: set[int],
) -> None:
    printed = {release: tmp_path / f"{release}.jsonl" for release in (older, newer)}
    with ExitStack() as stack:
        readers = [
            stack.enter_context(reader(release, redis_url, path))
            for release, path in printed.items()
        ]
        for release in (older, newer):
            stack.enter_context(worker(release, redis_url))
        producers = [
            stack.enter_context(produce(release, redis_url, clip)) for release in (older, newer)
        ]
        for producer in producers:
            assert producer.wait(120) == 0
        wait_until(lambda: read_snapshot(redis_client, KEYS).backlog == 0, 60)
        for path in printed.values():
            wait_until(lambda path=path: len(printed_lines(path)) >= 2 * FRAMES)
        for each in readers:
            each.send(signal.SIGTERM)
            assert each.wait() == 0
            assert not any(SKIPPING in line for line in each.lines)

    snapshot = read_snapshot(redis_client, KEYS)
    assert (snapshot.events, snapshot.dead, snapshot.unaccounted) == (2 * FRAMES, 0, 0)
    events = messages(redis_client)
    assert ids(events) == all_ids(older, newer)
    assert {event["v"] for event in events} == versions
    made_by = Counter(str(event["model"]).partition("@")[0] for event in events if "id" in event)
    assert min(made_by[older], made_by[newer]) > FRAMES / 4, made_by
    for path in printed.values():
        assert ids(printed_lines(path)) == all_ids(older, newer)


def test_a_producer_that_was_upgraded_too_early_costs_no_frame(
    redis_url: str, redis_client: redis.Redis, clip: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    def counts() -> Snapshot:
        return read_snapshot(redis_client, KEYS)

    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    with reader("now", redis_url, old) as old_reader:
        with worker("now", redis_url) as old_worker, produce("last", redis_url, clip) as producer:
            assert producer.wait(120) == 0
            wait_until(lambda: counts().dead == FRAMES, 60)
            old_worker.send(signal.SIGTERM)
            assert old_worker.wait() == 0
        letters = [entry for _, entry in redis_client.xrange(KEYS.dead)]
        assert {entry[b"reason"] for entry in letters} == {b"version"}
        assert letters[0][b"detail"] == b"v: expected wire version 1, got 2"

        with worker("last", redis_url):
            told = tmp_path / "told"
            again = ("dead", "requeue", "--all", "--reason", "version", "--redis", redis_url)
            with role("last", "worker", *again, stdout=told) as requeue:
                assert requeue.wait(60) == 0
            assert told.read_text() == f"{FRAMES} put back\n"
            wait_until(lambda: counts().events == FRAMES, 60)
        snapshot = counts()
        assert (snapshot.dead_letters, snapshot.unaccounted) == (0, 0)
        assert ids(messages(redis_client)) == all_ids("last")

        # The reader of the old version has skipped them all, and said so once.
        wait_until(lambda: any(SKIPPING in line for line in old_reader.lines))
        old_reader.send(signal.SIGTERM)
        assert old_reader.wait() == 0
    assert sum(SKIPPING in line for line in old_reader.lines) == 1
    assert printed_lines(old) == []
    with EventReader(redis_url, start="beginning", idle_s=1.0) as events:
        assert list(events) == []
    assert events.undecodable == {"version": FRAMES + RECORDS}

    with reader("last", redis_url, new):
        wait_until(lambda: ids(printed_lines(new)) == all_ids("last"))
