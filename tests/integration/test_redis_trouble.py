"""Redis in trouble while everything runs: what passes is waited for and costs no frame, the rest
ends in one line."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

from contract.connect import connect
from contract.snapshot import Snapshot, read_snapshot
from tests.integration.clips import write_video
from tests.integration.servers import TroubledServer
from tests.integration.system import BEGINS, ENDS, KEYS, System, published_ids

WaitUntil = Callable[..., None]
WRITERS = frozenset({"producer", "worker", "group"})  # a group's readers write: who got what
ALL = WRITERS | {"reader"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of video, two hundred frames."""
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", range(0, 1000, 5))


@pytest.fixture(params=["valkey", "oldest_redis"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TroubledServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    with TroubledServer(request.param, folder) as running:
        yield running


# Troubles that pass: each lasts as long as its block.


@contextmanager
def paused(server: TroubledServer) -> Iterator[None]:
    # The socket's time-out is 5 s; a read that waits already may end a while after the pause began.
    server.client.execute_command("CLIENT", "PAUSE", 8000, "ALL")
    yield


@contextmanager
def out_of_memory(server: TroubledServer) -> Iterator[None]:
    server.client.config_set("maxmemory", 1)
    yield
    server.client.config_set("maxmemory", 0)


@contextmanager
def read_only(server: TroubledServer) -> Iterator[None]:
    server.client.execute_command("REPLICAOF", "127.0.0.1", 1)
    yield
    server.client.execute_command("REPLICAOF", "NO", "ONE")


@contextmanager
def unsaved(server: TroubledServer) -> Iterator[None]:
    """MISCONF: a snapshot failed, because there is a folder where its file should be."""
    (server.folder / "dump.rdb").mkdir()
    server.client.config_set("save", "3600 1")
    server.client.bgsave()
    yield
    server.client.config_set("save", "")


@contextmanager
def without_replicas(server: TroubledServer) -> Iterator[None]:
    server.client.config_set("min-replicas-to-write", 1)
    yield
    server.client.config_set("min-replicas-to-write", 0)


@contextmanager
def busy(server: TroubledServer) -> Iterator[None]:
    """Somebody's script does not come to an end."""
    server.client.config_set("busy-reply-threshold", 50)

    def loop() -> None:
        with connect(server.url, retries=0) as client, suppress(redis.RedisError):
            client.eval("while true do end", 0)

    thread = threading.Thread(target=loop)
    thread.start()
    yield
    server.client.script_kill()
    thread.join(10)


@contextmanager
def without_scripts(server: TroubledServer) -> Iterator[None]:
    """The server forgets ours, which are sent again without a word."""
    server.client.script_flush()
    yield


@contextmanager
def dead(server: TroubledServer) -> Iterator[None]:
    server.kill()
    yield
    server.start()


TROUBLES: Mapping[Callable[[TroubledServer], object], frozenset[str]] = {
    paused: ALL,
    out_of_memory: frozenset({"producer"}),  # workers drain, readers read
    read_only: WRITERS,
    unsaved: WRITERS,
    without_replicas: WRITERS,
    busy: ALL,
    without_scripts: frozenset(),
    dead: ALL,
}


def test_no_trouble_that_passes_costs_a_frame_or_a_word_too_many(
    server: TroubledServer, clip: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    def snapshot() -> Snapshot:
        return read_snapshot(server.client, KEYS)

    def goes_on() -> None:
        events = snapshot().events
        wait_until(lambda: snapshot().events > events + 20, what="events go on")

    with System(server.url, clip, tmp_path) as system:
        goes_on()
        # Not while one of them has only just come: it would end, and say so.
        wait_until(lambda: system.read("reader") != [] != system.read("group"), what="all read")
        for trouble, hit in TROUBLES.items():
            before = system.said(BEGINS)
            with trouble(server):  # type: ignore[attr-defined]
                wait_until(
                    lambda before=before, hit=hit: all(  # type: ignore[misc]
                        system.said(BEGINS)[name] > before[name] for name in hit
                    ),
                    what=f"{trouble} is noticed",
                )
                if trouble is out_of_memory:
                    wait_until(lambda: snapshot().backlog == 0, what="the backlog drains")
            wait_until(lambda: system.said(ENDS) == system.said(BEGINS), what=f"{trouble} is over")
            goes_on()
            lines = {name: count - before[name] for name, count in system.said(BEGINS).items()}
            if trouble is read_only:  # may interrupt a bystander's blocking read, too
                lines.pop("reader")
            assert lines == {name: int(name in hit) for name in lines}, trouble
        for _ in range(5):
            server.kill_connections()
            goes_on()
        wait_until(lambda: system.said(ENDS) == system.said(BEGINS), what="all are back")
        for name in ("producer", "worker"):
            assert system.outages_by_metric(name) == system.said(BEGINS)[name]

        system.end("producer")
        wait_until(lambda: snapshot().backlog == 0, what="the backlog drains")
        system.end("worker")
        ids = published_ids(server.client)
        for name in ("reader", "group"):
            wait_until(lambda name=name: len(system.read(name)) >= len(ids), what=name)  # type: ignore[misc]
            system.end(name)
            assert system.read(name) == ids
        counts = snapshot()
        assert (counts.unaccounted, counts.dead, counts.dropped) == (0, 0, {})
        assert counts.published == counts.events == len(ids) == len(set(ids))
        assert not any("Traceback" in line for role in system.roles.values() for line in role.lines)


def flush(server: TroubledServer) -> None:
    server.client.flushall()


def restart_empty(server: TroubledServer) -> None:
    server.kill()
    shutil.rmtree(server.folder / "appendonlydir")
    server.start()


@pytest.mark.parametrize("lose_all", [flush, restart_empty])
def test_after_a_loss_of_all_data_everything_begins_anew(
    server: TroubledServer,
    lose_all: Callable[[TroubledServer], None],
    clip: Path,
    tmp_path: Path,
    wait_until: WaitUntil,
) -> None:
    with System(server.url, clip, tmp_path) as system:
        for life in range(3):
            wait_until(
                lambda: read_snapshot(server.client, KEYS).events > 20, what=f"events, life {life}"
            )
            first = published_ids(server.client)[0]
            for name in ("reader", "group"):  # or one that starts late would miss a whole life
                wait_until(lambda name=name, first=first: first in system.read(name), what=name)  # type: ignore[misc]
            if life < 2:
                lose_all(server)
        system.end("producer")
        wait_until(lambda: read_snapshot(server.client, KEYS).backlog == 0, what="it drains")
        system.end("worker")
        ids = published_ids(server.client)
        for name in ("reader", "group"):
            wait_until(lambda name=name: ids[-1] in system.read(name), what=name)  # type: ignore[misc]
            system.end(name)
            read = system.read(name)
            assert len(read) == len(set(read))
            assert read[-len(ids) :] == ids
        counts = read_snapshot(server.client, KEYS)
        assert (counts.unaccounted, counts.dead, counts.dropped) == (0, 0, {})
        assert counts.published == len(ids)
        assert system.said("lost this session")["producer"] == 2
        # A flushed server was there all the time.
        outages = 0 if lose_all is flush else 2
        assert system.said(BEGINS) == dict.fromkeys(system.roles, outages)


@pytest.mark.parametrize("server", ["oldest_redis"], indirect=True)  # any one hangs alike
def test_a_server_that_hangs_holds_up_no_stop_for_long(
    server: TroubledServer, clip: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    with System(server.url, clip, tmp_path) as system:
        wait_until(lambda: bool(system.read("reader") and system.read("group")))
        server.freeze()
        started_s = time.monotonic()
        for role in system.roles.values():
            role.send(signal.SIGTERM)
        ended = {name: role.wait(30) for name, role in system.roles.items()}
        assert time.monotonic() - started_s < 25  # Kubernetes kills after 30 s
        # The producer could not tell readers that its session is over.
        assert ended == {"producer": 1, "worker": 0, "reader": 0, "group": 0}
        plain = [line for role in system.roles.values() for line in role.lines if line[:1] != "{"]
        assert len(plain) == 1
        assert "stays open: Redis did not answer" in plain[0]
        server.thaw()
