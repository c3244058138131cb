"""Each role does all of its work as its own user, and nothing else is let through."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from contract.keys import Keys
from contract.snapshot import read_snapshot
from tests.integration.acl_server import ROLES, AclServer
from tests.integration.clips import write_video
from tests.integration.pages import Page
from tests.integration.processes import REPOSITORY, RoleProcess
from tests.integration.servers import Program

WaitUntil = Callable[..., None]
KEYS = Keys()
FRAMES = 50

pytestmark = pytest.mark.both_servers


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", range(0, FRAMES * 20, 20))


@pytest.fixture
def acl(server: Program, tmp_path: Path) -> Iterator[AclServer]:
    with AclServer(server, tmp_path) as started:
        yield started


def run(acl: AclServer, role: str, *command: str) -> subprocess.CompletedProcess[str]:
    """A command as the user of `role`."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True, text=True, cwd=REPOSITORY, timeout=60, env=acl.environment(role),
    )  # fmt: skip


def lines(path: Path) -> int:
    return path.read_text("utf-8").count("\n")


def test_a_whole_system_needs_no_more_rights_than_it_has(
    acl: AclServer, clip: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    printed = {name: tmp_path / name for name in ("reader", "group", "publisher")}
    reading = ("--from", "beginning", "--format", "jsonl")

    def role(user: str, module: str, *flags: str, **more: Path) -> RoleProcess:
        environment = {**acl.environment(user), "PACED_LEASE_S": "1", "PACED_BATCH_S": "0.05"}
        return RoleProcess(module, *flags, environment=environment, **more)

    acl.admin.xadd(KEYS.frames, {"m": b"no frame"})
    acl.admin.xadd(KEYS.frames, {"m": b"no frame either"})
    with (
        role("consumer", "consumer", *reading, stdout=printed["reader"]) as reader,
        role("consumer", "consumer", *reading, "--group", "g", stdout=printed["group"]) as group,
        role(
            "publisher", "consumer", *reading, "--smoothed", "--publish",
            stdout=printed["publisher"],
        ) as publisher,
        role("worker", "tests.paced_worker", "--metrics-port", "0") as killed,
        role("worker", "tests.paced_worker", "--metrics-port", "0") as worker,
        role("producer", "producer", str(clip), "--no-realtime") as producer,
    ):  # fmt: skip
        wait_until(lambda: acl.admin.xlen(KEYS.events) > 5)
        killed.send(signal.SIGKILL)  # the other one claims what it had in hand
        assert producer.wait() == 0
        for path in (printed["reader"], printed["group"]):
            wait_until(lambda path=path: lines(path) == FRAMES, what=f"{path.name} has all")
        wait_until(lambda: acl.admin.xlen(KEYS.smoothed) > 10)
        for process in (reader, group, publisher, worker):
            process.send(signal.SIGTERM)
            assert process.wait() == 0, process.lines
        assert not any("refused" in line for line in worker.lines)
    snapshot = read_snapshot(acl.admin, KEYS)
    assert (snapshot.events, snapshot.backlog, snapshot.unaccounted) == (FRAMES, 0, -2)
    assert acl.refusals() == []


def test_a_camera_that_nobody_follows(acl: AclServer, clip: Path, wait_until: WaitUntil) -> None:
    acl.admin.hset(KEYS.fence, mapping={f"old{n}": f"1:s:0:ended:{n}" for n in range(300)})
    flags = ("--loop", "--no-realtime", "--mode", "live", "--max-backlog", "4")
    with RoleProcess("producer", str(clip), *flags, environment=acl.environment("producer")) as it:
        wait_until(lambda: read_snapshot(acl.admin, KEYS).dropped.get("unread", 0) > 10)
        it.send(signal.SIGTERM)
        assert it.wait() == 0
    assert acl.admin.hlen(KEYS.fence) < 301  # old ones were forgotten
    assert acl.refusals() == []


def test_an_operator_looks_after_dead_letters(acl: AclServer) -> None:
    for reason in ("image", "attempts", "attempts"):
        acl.admin.xadd(KEYS.dead, {"reason": reason, "detail": "", "attempts": 1, "m": b"frame"})
    for command, words in {
        ("list", "--format", "json"): '"reason": "attempts"',
        ("requeue", "--all", "--reason", "image"): "1 put back",
        ("drop", "--all", "--yes"): "2 dropped",
    }.items():
        done = run(acl, "operator", "worker", "dead", *command)
        assert (done.returncode, words in done.stdout) == (0, True), done
    assert run(acl, "operator", "worker", "partitions", "2").returncode == 0
    status = run(acl, "operator", "consumer", "status", "--format", "json")
    assert json.loads(status.stdout)["backlog"] == 1
    assert acl.refusals() == []


def test_a_view_shows_people_and_pictures(acl: AclServer, clip: Path) -> None:
    pytest.importorskip("starlette", reason="needs the extra `view`")
    pace = {"PACED_BATCH_S": "0.1"}  # so that frames wait, and can be seen
    playing = (str(clip), "--loop", "--no-realtime")
    with (
        RoleProcess("tests.paced_worker", environment={**acl.environment("worker"), **pace}),
        RoleProcess("producer", *playing, environment=acl.environment("producer")),
        RoleProcess("consumer.view", "--port", "0", environment=acl.environment("view")) as view,
        Page(urlsplit(view.log("ready")["url"]).port or 0) as page,
    ):
        page.until(
            lambda state: (
                state["workers"] == 1
                and any((item.get("picture") or {}).get("people") for item in state["sources"])
            )
        )
    assert acl.refusals() == []


def test_an_exporter_reads_numbers(acl: AclServer) -> None:
    acl.admin.xadd(KEYS.frames, {"m": b"frame"})
    acl.admin.xgroup_create(KEYS.frames, "workers", "0")
    with acl.client("exporter") as client:
        assert client.info()["used_memory"]
        assert client.xlen(KEYS.frames) == 1
        assert client.xpending(KEYS.frames, "workers")["pending"] == 0
        assert client.execute_command("SLOWLOG", "LEN") >= 0
    assert acl.refusals() == []


# What is refused, asked of the server: ACL DRYRUN says what it would answer, and does nothing

READ = {
    "stream": [("XRANGE", "{}", "-", "+"), ("XREAD", "STREAMS", "{}", "0")],
    "hash": [("HGET", "{}", "f"), ("HMGET", "{}", "f", "g")],
    "string": [("GET", "{}")],
}
ADD = {
    "stream": [("XADD", "{}", "*", "m", "1")],
    "hash": [("HSET", "{}", "f", "1")],
    "string": [("SET", "{}", "1")],
}
REMOVE = {
    "stream": [("XDEL", "{}", "1-0")],
    "hash": [("HDEL", "{}", "f")],
    "string": [("DEL", "{}")],
}
WHAT = {"read": READ, "add": ADD, "remove": REMOVE}
KIND = {
    "config": "hash", "frames": "stream", "events": "stream", "smoothed": "stream",
    "smoother": "string", "dead": "stream", "stats": "hash", "fence": "hash",
    "attempts": "hash", "reporter": "string",
}  # fmt: skip

# By role and key; what is not named must be refused. "read" is any of the commands above.
ALLOWED = {
    "producer": {
        "config": "read", "frames": "read add remove", "events": "add", "stats": "read",
        "fence": "read add remove",
    },
    "worker": {
        "config": "read", "frames": "read remove", "events": "add", "dead": "read add remove",
        "stats": "read add", "attempts": "read add remove", "reporter": "read add remove",
    },
    "consumer": {"config": "read", "events": "read", "smoothed": "read"},
    "publisher": {
        "config": "read", "events": "read", "smoothed": "read add", "smoother": "read add remove",
    },
    "operator": {"config": "read add", "frames": "add", "dead": "read remove"},
    "view": {"config": "read", "frames": "read", "events": "read", "smoothed": "read"},
    "exporter": {},
}  # fmt: skip

# For nobody but admin: on the server, on all keys, on other databases.
FOR_NOBODY = [
    line.split()
    for line in (
        "FLUSHALL", "FLUSHDB", "CONFIG GET *", "CONFIG SET dir x", "KEYS *", "SCAN 0", "RANDOMKEY",
        "DBSIZE", "DEBUG SLEEP 0", "SHUTDOWN", "SAVE", "BGSAVE", "BGREWRITEAOF", "MONITOR",
        "REPLICAOF NO ONE", "FAILOVER", "SYNC", "ACL LIST", "ACL SETUSER x on", "ACL LOG",
        "CLIENT LIST", "CLIENT KILL TYPE normal", "CLIENT PAUSE 1", "CLIENT NO-EVICT on",
        "CLIENT TRACKING ON", "CLUSTER RESET", "CLUSTER FAILOVER", "SELECT 1", "SWAPDB 0 1",
        "MODULE LIST", "SCRIPT FLUSH", "SCRIPT KILL", "FUNCTION LIST", "SLOWLOG GET", "PUBLISH x y",
        "SUBSCRIBE x", "MULTI", "XGROUP DESTROY {} g",
        "DUMP {}", "UNLINK {}", "PERSIST {}", "EXPIRE {} 1", "RENAME {} x", "MOVE {} 1",
        "COPY {} x", "SORT {}", "RESTORE {} 0 x", "MIGRATE h 1 {} 0 1", "OBJECT FREQ {}",
        "APPEND {} x", "XTRIM {} MAXLEN 0", "XSETID {} 1-0",
    )
]  # fmt: skip


def would(acl: AclServer, role: str, command: list[str] | tuple[str, ...], key: str) -> bool:
    """Whether the server would let `role` do this with `key`."""
    words = [word.format(key) if "{}" in word else word for word in command]
    return acl.admin.execute_command("ACL", "DRYRUN", role, *words) in (b"OK", "OK", True)


@pytest.mark.parametrize("prefix", ["emotion", "other"])
def test_who_may_do_what_with_which_key(acl: AclServer, prefix: str) -> None:
    allowed = {
        f"{role} may {what} {key}"
        for role in ROLES
        for key, kind in KIND.items()
        for what, commands in WHAT.items()
        for name in [f"{prefix}:config" if key == "config" else f"{prefix}:{{1}}:{key}"]
        if any(would(acl, role, command, name) for command in commands[kind])
    }
    expected = {
        f"{role} may {what} {key}"
        for role, keys in ALLOWED.items()
        for key, whats in keys.items()
        for what in whats.split()
    }
    assert allowed == (expected if prefix == "emotion" else set())


def test_what_nobody_may(acl: AclServer) -> None:
    assert would(acl, "admin", ["FLUSHALL"], "")
    keys = [KEYS.frames, KEYS.events, KEYS.dead, "emotion:config", "elsewhere"]
    let_through = {
        (role, " ".join(command))
        for role in ROLES
        for command in FOR_NOBODY
        for key in keys
        if would(acl, role, command, key)
    }
    assert let_through == set()


def test_a_script_can_do_no_more_than_its_caller(acl: AclServer) -> None:
    """With the keys that the role's own scripts have, so that EVAL itself is let through."""
    acl.admin.xadd(KEYS.events, {"m": b"event"})
    for role, script, keys in (
        ("producer", "return redis.call('XRANGE', KEYS[1], '-', '+')", [KEYS.events]),
        ("worker", "return redis.call('XRANGE', KEYS[1], '-', '+')", [KEYS.events]),
        ("worker", "return redis.call('XADD', KEYS[1], '*', 'm', 'x')", [KEYS.frames]),
        ("consumer", "return redis.call('XADD', KEYS[1], '*', 'm', 'x')", [KEYS.events]),
        ("consumer", "return redis.call('DEL', KEYS[1])", [KEYS.events]),
        ("publisher", "return redis.call('XADD', KEYS[1], '*', 'm', 'x')", [KEYS.events]),
        ("operator", "return redis.call('XRANGE', KEYS[1], '-', '+')", [KEYS.frames]),
        *((role, "return redis.call('FLUSHALL')", []) for role in ("producer", "worker")),
        ("consumer", "return redis.call('KEYS', '*')", []),
        ("consumer", "return redis.call('GET', 'elsewhere')", []),
    ):
        with acl.client(role) as client, pytest.raises(redis.RedisError, match="script"):
            client.eval(script, len(keys), *keys)
    with acl.client("view") as client:
        for script in ("eval", "eval_ro"):
            with pytest.raises(redis.RedisError):
                getattr(client, script)("return redis.call('DEL', KEYS[1])", 1, KEYS.events)
    assert acl.admin.xlen(KEYS.events) == 1


# A role that was given the wrong user says so in one line

WRONG = [
    ("consumer", ["producer", "CLIP"]),
    ("worker", ["producer", "CLIP"]),
    ("producer", ["producer", "CLIP", "--prefix", "other"]),
    ("consumer", ["tests.paced_worker"]),
    ("producer", ["consumer"]),
    ("worker", ["consumer", "--group", "g"]),
    ("view", ["consumer", "--group", "g"]),
    ("consumer", ["consumer", "--publish"]),
    ("consumer", ["consumer", "status"]),
    ("worker", ["worker", "dead", "list"]),
    ("consumer", ["worker", "dead", "requeue", "--all"]),
]


def test_the_wrong_user_ends_a_command_with_one_line(
    acl: AclServer, clip: Path, server: Program
) -> None:
    # Valkey refuses in words of its own, whatever the command.
    wrong = WRONG if server == "oldest_redis" else WRONG[::4]
    acl.admin.hset("emotion:config", "partitions", 1)
    acl.admin.xadd(KEYS.dead, {"reason": "image", "m": b"frame"})
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *(str(clip) if word == "CLIP" else word for word in command)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
            env={**acl.environment(role), "EMOTION_LOG_LEVEL": "error"},
        )
        for role, command in wrong
    ]  # fmt: skip
    try:
        for (role, command), process in zip(wrong, started, strict=True):
            stderr = process.communicate(timeout=100)[1]
            shown = (role, command, stderr)
            assert (process.returncode, stderr.count("\n")) == (2, 1), shown
            assert stderr.startswith("emotion-"), shown
            assert f"***@{acl.address}" in stderr, shown
            assert "refused" in stderr, shown
            assert acl.password(role) not in stderr
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert {row["username"] for row in acl.refusals()} == {role for role, _ in wrong}
