"""The same users on every node of a cluster."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contract.connect import connect
from contract.keys import Keys
from contract.snapshot import read_snapshot
from tests.integration.acl_server import ROLES, make_acl
from tests.integration.clips import write_video
from tests.integration.processes import RoleProcess
from tests.integration.redis_cluster import Cluster

WaitUntil = Callable[..., None]
FRAMES = 50


@pytest.fixture
def cluster(tmp_path: Path, wait_until: WaitUntil) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path, wait_until)
    yield cluster
    cluster.close()


def test_roles_of_a_cluster_have_all_the_rights_they_need(
    cluster: Cluster, tmp_path: Path, wait_until: WaitUntil
) -> None:
    secrets = tmp_path / "secrets"
    make_acl(secrets, "--server", cluster.url)
    for line in (secrets / "users.acl").read_text().splitlines():
        _, name, *rules = line.split(" ")
        if name in ROLES:  # `default` stays: by it the nodes talk to each other here
            assert {node.ask("ACL", "SETUSER", name, *rules) for node in cluster.nodes} == {"OK"}

    def role(user: str, module: str, *flags: str, stdout: Path | None = None) -> RoleProcess:
        environment = {"EMOTION_REDIS_FILE": str(secrets / f"{user}.url"), "PACED_LEASE_S": "1"}
        return RoleProcess(module, *flags, stdout=stdout, environment=environment)

    clip = write_video(tmp_path / "clip.mp4", range(0, FRAMES * 20, 20))
    printed = {name: tmp_path / name for name in ("consumer", "publisher", "status")}
    reading = ("--from", "beginning", "--format", "jsonl")
    ids = [word for name in ("cam0", "cam1", "lobby") for word in ("--source-id", name)]
    with (
        role("worker", "tests.paced_worker", "--partitions", "2") as worker,
        role("consumer", "consumer", *reading, "--group", "g", stdout=printed["consumer"]) as group,
        role("publisher", "consumer", *reading, "--publish", stdout=printed["publisher"]) as other,
    ):
        worker.log("ready")
        with role("producer", "producer", *[str(clip)] * 3, *ids, "--no-realtime") as producer:
            assert producer.wait() == 0
        for path in (printed["consumer"], printed["publisher"]):
            wait_until(lambda path=path: path.read_text().count("\n") == 3 * FRAMES)
        status = ("consumer", "status", "--format", "json")
        with role("operator", *status, stdout=printed["status"]) as operator:
            assert operator.wait() == 0
        for process in (group, other, worker):
            process.send(signal.SIGTERM)
            assert process.wait() == 0, process.lines
    assert json.loads(printed["status"].read_text())["events"] == 3 * FRAMES
    with connect(cluster.url) as client:
        for partition in range(2):
            snapshot = read_snapshot(client, Keys(partition=partition))
            assert snapshot.events > 0
            assert (snapshot.backlog, snapshot.unaccounted) == (0, 0)
    assert {node.ask("ACL", "LOG") for node in cluster.nodes} == {"[]"}
