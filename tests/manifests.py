"""The files of deploy/k8s as objects, one by one and as kustomize puts them together."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.conftest import REPOSITORY

K8S = REPOSITORY / "deploy" / "k8s"
CUSTOM = ("ScaledObject", "TriggerAuthentication", "PodMonitor", "PrometheusRule")
OVERLAYS = ("cpu", "gpu", "dev")
Object = dict[str, Any]


def documents(*parts: str) -> list[Object]:
    """The objects in the files of some folders, kustomizations left out."""
    folders = [K8S / part for part in parts]
    paths = [path for folder in folders for path in sorted(folder.glob("*.yaml"))]
    return [
        found
        for path in paths
        if path.name != "kustomization.yaml"
        for found in yaml.safe_load_all(path.read_text("utf-8"))
    ]


@cache
def built(overlay: str) -> list[Object]:
    """What kustomize makes of it; a skip without kustomize, of which no package is in Debian 12."""
    return build(K8S / "overlays" / overlay)


def build(folder: Path) -> list[Object]:
    """What kustomize makes of this folder."""
    if kustomize := shutil.which("kustomize"):
        command = [kustomize, "build", str(folder)]
    elif kubectl := shutil.which("kubectl"):
        command = [kubectl, "kustomize", str(folder)]
    else:
        pytest.skip("needs kustomize or kubectl")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


PARTS = ("base", "operators", "valkey")
BASE = documents(*PARTS)


def named(objects: list[Object], kind: str, name: str) -> Object:
    """The one object with this kind and name."""
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    return found


def workloads(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """What runs pods, and the pod that it runs."""
    for found in objects:
        if found["kind"] in ("Deployment", "StatefulSet"):
            yield found, found["spec"]["template"]["spec"]


def validate(objects: list[Object]) -> None:
    """By the schemas of Kubernetes 1.33; unknown fields are refused, too."""
    for found in objects:
        if found["kind"] not in CUSTOM:
            kubernetes_validate.validate(found, "1.33", strict=True)
