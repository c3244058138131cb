"""The custom resources of deploy/k8s by the schemas of those who defined them.

Needs npm and the registry that it is set up for. Nothing is kept in the repository.
"""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import optional_tool
from tests.integration.test_javascript import npm
from tests.manifests import CUSTOM, K8S, Object, documents, named

# Made of the projects' own custom resource definitions.
CRDS = ("@kubernetes-models/keda@0.4.2", "@kubernetes-models/prometheus-operator@6.0.0")

_VALIDATE = """
import { ScaledObject, TriggerAuthentication } from "@kubernetes-models/keda/keda.sh/v1alpha1";
import {
  PodMonitor, PrometheusRule,
} from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
import { readFileSync } from "node:fs";
const kinds = { ScaledObject, TriggerAuthentication, PodMonitor, PrometheusRule };
const said = JSON.parse(readFileSync(0, "utf8")).map((object) => {
  try {
    new kinds[object.kind](object).validate();
    return null;
  } catch (error) {
    return error.message;
  }
});
console.log(JSON.stringify(said));
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the schemas and what validates by them."""
    optional_tool("node (Debian package nodejs)", shutil.which("node"))
    folder = tmp_path_factory.mktemp("crds")
    npm(folder, "install", "--no-package-lock", *CRDS)
    (folder / "validate.mjs").write_text(_VALIDATE, "utf-8")
    return folder


def complaints(node: Path, objects: list[Object]) -> list[str | None]:
    done = subprocess.run(
        ["node", "validate.mjs"],
        cwd=node,
        input=json.dumps(objects),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said: list[str | None] = json.loads(done.stdout)
    return said


def test_custom_resources_are_what_their_definitions_want(node: Path) -> None:
    objects = [found for found in documents("operators") if found["kind"] in CUSTOM]
    assert {found["kind"] for found in objects} == set(CUSTOM)
    assert complaints(node, objects) == [None] * len(objects)
    scaled = named(objects, "ScaledObject", "emotion-worker")
    patched = [
        {**scaled, "spec": {**scaled["spec"], **patch["spec"]}}
        for folder in (K8S / "components").glob("*partitions-*")
        for patch in documents(f"components/{folder.name}")
    ]
    assert complaints(node, patched) == [None] * 4

    broken = copy.deepcopy(objects)
    for found in broken:
        match found["kind"]:
            case "ScaledObject":
                del found["spec"]["triggers"][0]["type"]
            case "TriggerAuthentication":
                del found["spec"]["secretTargetRef"][0]["parameter"]
            case "PodMonitor":
                found["spec"]["podMetricsEndpoints"][0]["interval"] = 5
            case "PrometheusRule":
                del found["spec"]["groups"][0]["rules"][0]["expr"]
    assert None not in complaints(node, broken)
