"""`emotion-worker check` against real servers, models and engines, right and wrong ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from contract.connect import connect
from contract.errors import AccessDenied, UsageError
from contract.keys import Keys, config_key
from contract.process.settings import read_settings
from tests.integration.acl_server import AclServer
from tests.integration.processes import REPOSITORY
from tests.integration.redis_cluster import Cluster
from tests.integration.servers import Program, TroubledServer
from tests.ports import free_port
from worker.check.cli import main
from worker.check.model import look_at_model
from worker.check.rights import look_at_rights
from worker.check.row import Row, tried
from worker.check.server import Server
from worker.check.settings import CheckSettings
from worker.check.system import look_at_partitions
from worker.classifier import DEFAULT_ARTIFACT

KEYS = Keys()
Found = dict[str, tuple[str, str]]
NAMES = [
    "redis", "eviction", "memory", "persistence", "rights", "partitions",
    "model", "engine", "gpu", "picture",
]  # fmt: skip


def check(*arguments: str, **more: str) -> tuple[int, dict[str, Row], str]:
    """Exit code, rows and stderr of the command as people give it."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("EMOTION_")}
    done = subprocess.run(
        [sys.executable, "-m", "worker", "check", "--json", *arguments],
        capture_output=True, text=True, cwd=REPOSITORY, timeout=120, env=inherited | more,
    )  # fmt: skip
    rows = {row["name"]: Row(**row) for row in json.loads(done.stdout)} if done.stdout else {}
    return done.returncode, rows, done.stderr


@pytest.mark.both_servers
def test_all_that_a_worker_needs_is_there(redis_url: str, redis_client: redis.Redis) -> None:
    redis_client.xadd(KEYS.frames, {"m": b"somebody's frame"})
    redis_client.xgroup_create(KEYS.frames, "workers", id="0")
    before = {key: redis_client.dump(key) for key in redis_client.scan_iter()}
    code, rows, stderr = check("--redis", redis_url, "--precision", "float32")
    assert (code, stderr) == (0, "")
    assert list(rows) == NAMES
    not_ok = {name for name, row in rows.items() if row.status != "ok"}
    assert not_ok == {"persistence"}  # this server keeps nothing, which costs nothing here
    assert rows["picture"].said.startswith("one face, happiness (")
    assert "faces a second" in rows["picture"].said
    assert "is new: it will have 1" in rows["partitions"].said
    # Nobody's frame was taken, and nothing is left behind, not even a consumer's name.
    assert {key: redis_client.dump(key) for key in redis_client.scan_iter()} == before


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    model = tmp_path / "mine.keras"
    code, rows, stderr = check(
        EMOTION_REDIS=f"redis://u:geheim@127.0.0.1:{free_port()}", EMOTION_MODEL=str(model)
    )
    assert code == 2  # the model; Redis alone would be 1
    status = {name: row.status for name, row in rows.items()}
    assert list(status) == NAMES
    assert status["redis"] == status["model"] == "failed"
    assert {status[name] for name in (*NAMES[1:6], "picture")} == {"not tried"}
    assert status["engine"] == status["gpu"] == "ok"
    assert (rows["redis"].exit_code, rows["model"].exit_code) == (1, 2)
    assert "no Redis at redis://***@127.0.0.1" in rows["redis"].said
    assert rows["model"].said == f"{model}: no such model file"
    assert "geheim" not in stderr + json.dumps([row.said for row in rows.values()])


def test_settings_that_cannot_be_used_come_before(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--batch-size", "0", "--threads", "0"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("emotion-worker check: 2 settings cannot be used:\n  --threads: ")


def test_people_get_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from worker.check import cli

    rows = [
        Row("redis", "ok", "Valkey 9.1 at redis://h"),
        Row("model", "failed", "m.keras: no such model file", "give another", 2),
        Row("picture", "not tried", "no model"),
    ]
    monkeypatch.setattr(cli, "_rows_of_redis", lambda _settings: rows[:1])
    monkeypatch.setattr(cli, "_rows_of_networks", lambda _settings: rows[1:])
    assert main([]) == 2
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "ok redis Valkey 9.1 at redis://h",
        "failed model m.keras: no such model file",
        "→ give another",
        "not tried picture no model",
    ]


def test_a_model_that_was_tampered_with(tmp_path: Path) -> None:
    model = tmp_path / "mine.keras"
    manifest = json.loads(DEFAULT_ARTIFACT.with_suffix(".json").read_text("utf-8"))
    model.with_suffix(".json").write_text(json.dumps({**manifest, "file": model.name}))
    model.write_bytes(DEFAULT_ARTIFACT.read_bytes() + b"!")
    row = tried("model", lambda: look_at_model(model), "copy it again")
    assert (row.status, row.exit_code, row.advice) == ("failed", 2, "copy it again")
    assert "expected sha256 " in row.said
    # Whole, but its int8 form is not there.
    shutil.copy(DEFAULT_ARTIFACT, model)
    row = look_at_model(model)
    assert row.status == "warning" and "its int8 form cannot be used" in row.said


def test_labels_that_nobody_knows(tmp_path: Path) -> None:
    model = tmp_path / "mine.keras"
    shutil.copy(DEFAULT_ARTIFACT, model)
    manifest = json.loads(DEFAULT_ARTIFACT.with_suffix(".json").read_text("utf-8"))
    labels = ["wistful", *manifest["labels"][1:]]
    changed = {**manifest, "file": model.name, "labels": labels, "int8": None}
    model.with_suffix(".json").write_text(json.dumps({k: v for k, v in changed.items() if v}))
    row = look_at_model(model)
    assert row.status == "warning"
    assert row.said.endswith("no valence and arousal are known for wistful")


def test_an_engine_that_is_not_to_be_had() -> None:
    code, rows, _ = check(
        "--redis", f"redis://127.0.0.1:{free_port()}", "--engine", "keras", "--precision", "int8"
    )
    assert code == 2
    assert rows["engine"].said == "--precision int8: Keras has none; expected --engine openvino"
    assert rows["picture"].status == "not tried"
    assert rows["model"].status == "ok"


@pytest.fixture
def troubled(server: Program, tmp_path: Path) -> Iterator[TroubledServer]:
    options = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    with TroubledServer(server, tmp_path, *options) as started:
        yield started


@pytest.mark.both_servers
def test_a_server_that_may_lose_frames(troubled: TroubledServer) -> None:
    troubled.client.ping()
    before = Server.read(troubled.client, troubled.url)
    assert before.reached().status == "ok"
    assert before.persistence() == Row("persistence", "ok", "append-only file")
    assert before.memory().status == "ok"
    row = before.eviction()
    assert (row.status, row.advice) == ("warning", "set maxmemory-policy noeviction")

    troubled.client.config_set("maxmemory-policy", "noeviction")
    used_bytes = before.nodes[0].used_bytes
    troubled.client.config_set("maxmemory", int(used_bytes * 1.1))
    assert Server.read(troubled.client, troubled.url).memory().status == "warning"
    troubled.client.config_set("maxmemory", used_bytes // 2)
    full = Server.read(troubled.client, troubled.url)
    row = full.memory()
    assert (row.status, row.exit_code) == ("failed", 1)
    assert "producers are refused" in row.said
    # Rights and partitions can be asked for all the same, and the asking takes no room.
    assert look_at_rights(troubled.client, troubled.url, [KEYS]).status == "ok"
    assert look_at_partitions(troubled.client, troubled.url, "emotion", None).status == "ok"
    assert troubled.client.keys() == []


@pytest.mark.both_servers
def test_a_replica_takes_no_frames(troubled: TroubledServer) -> None:
    troubled.client.ping()
    troubled.client.replicaof("127.0.0.1", free_port())
    row = Server.read(troubled.client, troubled.url).reached()
    assert (row.status, row.exit_code) == ("failed", 1)
    assert "is a replica" in row.said


@pytest.mark.both_servers
def test_a_worker_of_a_system_with_other_partitions(
    redis_url: str, redis_client: redis.Redis
) -> None:
    redis_client.hset(config_key("emotion"), "partitions", "2")
    row = look_at_partitions(redis_client, redis_url, "emotion", 4)
    assert (row.status, row.exit_code) == ("failed", 2)
    assert row.said == "the system 'emotion' has 2, --partitions says 4"
    row = look_at_partitions(redis_client, redis_url, "emotion", None)
    assert row.status == "ok" and row.said.startswith("2 of the system 'emotion';")
    redis_client.set(Keys("emotion", 1).stats, "no hash")
    look = lambda: look_at_partitions(redis_client, redis_url, "emotion", None)  # noqa: E731
    assert tried("partitions", look, "").status == "failed"


@pytest.fixture
def acl(server: Program, tmp_path: Path) -> Iterator[AclServer]:
    with AclServer(server, tmp_path) as started:
        yield started


@pytest.mark.both_servers
def test_the_workers_user_has_all_rights_and_no_other_role_has(acl: AclServer) -> None:
    for role in ("worker", "admin"):
        with acl.client(role) as client:
            row = look_at_rights(client, acl.url(role), [KEYS, Keys("emotion", 1)])
        assert row.status == "ok", row
    for role in ("producer", "consumer", "publisher", "operator", "view"):
        with acl.client(role) as client:
            row = look_at_rights(client, acl.url(role), [KEYS])
        assert (row.status, row.exit_code) == ("failed", 2), role
        assert "this user may not EVAL and EVALSHA on emotion:{0}:frames" in row.said
        assert acl.password(role) not in row.said
    assert acl.admin.keys() == []


@pytest.mark.both_servers
def test_the_right_that_is_missing_is_named(acl: AclServer) -> None:
    line = next(
        line
        for line in (acl.secrets / "users.acl").read_text().splitlines()
        if "user worker" in line
    )
    rules = line.replace("(+xadd %W~emotion:{*}:events)", "").replace(" +xautoclaim", "")
    assert rules != line
    acl.admin.execute_command("ACL", "SETUSER", "worker", "reset", *_rules(rules))
    with acl.client("worker") as client:
        row = look_at_rights(client, acl.url("worker"), [KEYS])
    assert row.said.endswith(
        "this user may not XAUTOCLAIM on emotion:{0}:frames, XADD on emotion:{0}:events"
    )
    assert "make_acl.py" in row.advice
    # Keys of another system are none of this user's.
    with acl.client("worker") as client:
        assert look_at_rights(client, acl.url("worker"), [Keys("other")]).status == "failed"


@pytest.mark.both_servers
def test_the_command_as_the_workers_user(acl: AclServer) -> None:
    code, rows, stderr = check("--precision", "float32", **acl.environment("worker"))
    assert (code, stderr) == (0, "")
    assert {row.status for row in rows.values()} == {"ok"}
    assert acl.refusals() == []
    assert acl.admin.keys() == []


def test_a_user_that_may_not_ask_redis_about_itself(acl: AclServer) -> None:
    acl.admin.execute_command("ACL", "SETUSER", "worker", "-info")
    with acl.client("worker") as client, pytest.raises(AccessDenied, match="info"):
        Server.read(client, acl.url("worker"))
    acl.admin.execute_command("ACL", "SETUSER", "worker", "+@all", "~*", ">wrong")
    url = f"redis://worker:nobody@{acl.address}"
    with connect(url, retries=0) as client, pytest.raises(AccessDenied, match="refused us"):
        Server.read(client, url)


def test_every_master_of_a_cluster_is_asked(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    cluster = Cluster(tmp_path, wait_until)
    try:
        with connect(cluster.url, retries=0) as client:
            server = Server.read(client, cluster.url)
            assert len(server.nodes) == 3
            assert ", 3 masters, answers in " in server.reached().said
            assert {row.status for row in (server.memory(), server.eviction())} == {"ok"}
            places = [Keys("emotion", place) for place in range(4)]
            assert look_at_rights(client, cluster.url, places).status == "ok"
            client.hset(config_key("emotion"), "partitions", "4")
            assert look_at_partitions(client, cluster.url, "emotion", None).status == "ok"
    finally:
        cluster.close()


def test_its_flags_are_a_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings(CheckSettings, "check", ["--model", "gone.keras", "--threads", "3"])
    assert (settings.model, settings.threads, settings.as_json) == (Path("gone.keras"), 3, False)
    with pytest.raises(UsageError, match="--foo"):
        read_settings(CheckSettings, "check", ["--foo"])


def _rules(line: str) -> list[str]:
    """The rules of a line of users.acl, a selector in one piece."""
    rules: list[str] = []
    for word in line.split()[2:]:
        if rules and rules[-1].startswith("(") and not rules[-1].endswith(")"):
            rules[-1] += f" {word}"
        else:
            rules.append(word)
    return rules
