"""Images of others: each file that names one, and the table of deploy/README.md that names all."""

from __future__ import annotations

import re

import yaml

from tests.conftest import REPOSITORY
from tests.manifests import BASE, K8S, workloads

DEPLOY = REPOSITORY / "deploy"


def tabled() -> dict[str, set[str]]:
    """Image with tag -> the files that have it, as the table says."""
    text = (DEPLOY / "README.md").read_text("utf-8")
    section = text.partition("\n### Images of others\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\S+)` \| (.+) \|$", section, re.MULTILINE)
    return {image: set(re.findall(r"`(\S+)`", where)) for image, where in rows}


def found() -> dict[str, set[str]]:
    """The same, as the files have it."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    named = {service["image"]: {"compose.yaml"} for service in compose["services"].values()}
    for workload, pod in workloads(BASE):
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            folder = "valkey" if workload["kind"] == "StatefulSet" else "base"
            file = f"k8s/{folder}/{workload['metadata']['name']}.yaml"
            named.setdefault(container["image"], set()).add(file)
    (base,) = re.findall(
        r"^ARG BASE=(\S+)$", (DEPLOY / "images" / "Dockerfile").read_text("utf-8"), re.MULTILINE
    )
    named[base] = {"images/Dockerfile"}
    return {image: files for image, files in named.items() if not image.startswith("emotion-")}


def test_the_table_names_every_image_and_its_tag() -> None:
    assert tabled() == found()


def test_every_tag_names_one_version_in_one_registry() -> None:
    for image in tabled():
        assert re.fullmatch(r"docker\.io/[\w./-]+:v?\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?", image)
    names = [image.partition(":")[0] for image in tabled()]
    assert len(names) == len(set(names)), "two versions of one image"


def test_no_other_file_names_one() -> None:
    """Overlays and components change images by kustomize's `images`, and those are ours."""
    for path in K8S.rglob("kustomization.yaml"):
        for image in yaml.safe_load(path.read_text("utf-8")).get("images", []):
            assert image["name"].startswith("emotion-stream/")
