"""deploy/k8s: valid by Kubernetes' own schemas, what it must say, what overlays make of it."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from contract.connect import SOCKET_TIMEOUT_S
from producer.supervisor import SHUTDOWN_GRACE_S
from tests.manifests import (
    BASE,
    CUSTOM,
    K8S,
    OVERLAYS,
    PARTS,
    built,
    documents,
    named,
    validate,
    workloads,
)
from tests.unit.test_compose import role_of, variables_of
from worker.lease import LeaseKeeper


def test_each_file_is_valid_by_itself() -> None:
    validate(BASE)
    broken = yaml.safe_load(yaml.safe_dump(named(BASE, "Deployment", "emotion-worker")))
    broken["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate([broken])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_an_overlay_makes_is_valid(overlay: str) -> None:
    objects = built(overlay)
    validate(objects)
    spaces = {found["metadata"]["namespace"] for found in objects}
    assert spaces == {"emotion-dev" if overlay == "dev" else "emotion"}
    custom = {found["kind"] for found in objects} & set(CUSTOM)
    assert custom == (set() if overlay == "dev" else set(CUSTOM))
    worker = named(objects, "Deployment", "emotion-worker")
    assert "replicas" not in worker["spec"], "the autoscaler's"
    image = worker["spec"]["template"]["spec"]["containers"][0]["image"]
    assert re.fullmatch(r"emotion-stream/worker-(cpu|gpu):\d+\.\d+\.\d+", image)
    assert ("-gpu:" in image) == (overlay == "gpu")


def test_a_gpu_worker_asks_for_a_gpu() -> None:
    pod = named(built("gpu"), "Deployment", "emotion-worker")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    variables = {entry["name"]: entry for entry in container["env"]}
    assert variables["EMOTION_ENGINE"]["value"] == "keras"
    assert "EMOTION_THREADS" in variables and "EMOTION_REDIS_FILE" in variables  # of the base


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_names_what_it_is_made_of(overlay: str) -> None:
    """Without kustomize: files that are there, patches of objects that are there."""
    folder = K8S / "overlays" / overlay
    text = yaml.safe_load((folder / "kustomization.yaml").read_text("utf-8"))
    for part in [*text["resources"], *text.get("components", [])]:
        assert (folder / part / "kustomization.yaml").is_file()
    patches = {entry["path"] for entry in text.get("patches", []) if "path" in entry}
    assert patches == {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    for patch in documents(f"overlays/{overlay}"):
        named(BASE, patch["kind"], patch["metadata"]["name"])
    for part in PARTS:
        listed = yaml.safe_load((K8S / part / "kustomization.yaml").read_text("utf-8"))["resources"]
        found = {path.name for path in (K8S / part).glob("*.yaml")} - {"kustomization.yaml"}
        assert set(listed) == found


def test_pods_are_restricted() -> None:
    """The profile `restricted` of the pod security standards, and more."""
    for workload, pod in workloads(BASE):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] and security["runAsUser"] == security["fsGroup"] == 10001
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        # EMOTION_VIEW_PORT and the like of Kubernetes' own would be taken for settings.
        assert pod["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
        for volume in pod["volumes"]:
            assert volume.keys() <= {"name", "secret", "emptyDir"}
            assert volume.get("secret", {}).get("defaultMode", 0o440) == 0o440
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_roles_get_variables_they_know_and_their_own_redis_user() -> None:
    for workload, pod in workloads(documents("base")):
        role = role_of(workload["metadata"]["name"].removeprefix("emotion-"))
        (container,) = pod["containers"]
        variables = {entry["name"] for entry in container["env"]}
        assert variables <= variables_of(role)
        (redis,) = [volume["secret"] for volume in pod["volumes"] if volume["name"] == "redis"]
        assert [item["key"] for item in redis["items"]] == [f"{role}.url"]
        files = [entry["value"] for entry in container["env"] if entry["name"].endswith("_FILE")]
        mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert all(file.rpartition("/")[0] in mounts for file in files)


def test_probes_ask_what_the_role_answers() -> None:
    for name, startup in (("worker", "/readyz"), ("producer", "/livez")):
        pod = named(BASE, "Deployment", f"emotion-{name}")["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        asked = {"startupProbe": startup, "readinessProbe": "/readyz", "livenessProbe": "/livez"}
        for probe, path in asked.items():
            assert container[probe]["httpGet"] == {"path": path, "port": "metrics"}
        (port,) = container["ports"]
        variables = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert variables["EMOTION_METRICS_PORT"] == str(port["containerPort"])
        assert variables["EMOTION_METRICS_HOST"] == "0.0.0.0"  # the kubelet asks from outside


def test_grace_is_longer_than_the_longest_stop() -> None:
    hang_s = inspect.signature(LeaseKeeper).parameters["longest_s"].default
    worker = named(BASE, "Deployment", "emotion-worker")["spec"]["template"]["spec"]
    # A batch that hangs, then a settlement and a goodbye that Redis does not answer.
    assert worker["terminationGracePeriodSeconds"] > hang_s + 2 * SOCKET_TIMEOUT_S
    producer = named(BASE, "Deployment", "emotion-producer")["spec"]["template"]["spec"]
    assert producer["terminationGracePeriodSeconds"] > SHUTDOWN_GRACE_S + SOCKET_TIMEOUT_S


def test_an_outage_of_redis_is_shorter_than_their_patience() -> None:
    """A container that ended is started again after pauses of up to 300 s."""
    for name in ("emotion-worker", "emotion-producer"):
        (container,) = named(BASE, "Deployment", name)["spec"]["template"]["spec"]["containers"]
        variables = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert float(variables["EMOTION_REDIS_TIMEOUT"]) > 300


def test_a_new_version_replaces_workers_only_once_it_works() -> None:
    worker = named(BASE, "Deployment", "emotion-worker")["spec"]
    assert worker["strategy"] == {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert worker["minReadySeconds"] > 0
    on_gpu = named(built("gpu"), "Deployment", "emotion-worker")["spec"]
    assert on_gpu["strategy"] == {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


def test_valkey_has_room_to_rewrite_its_file_and_is_not_evicted_first() -> None:
    (container,) = named(BASE, "StatefulSet", "valkey")["spec"]["template"]["spec"]["containers"]
    arguments, resources = container["args"], container["resources"]
    data = _bytes_of(arguments[arguments.index("--maxmemory") + 1])
    assert _bytes_of(resources["limits"]["memory"]) >= 3 * data
    assert _bytes_of(resources["requests"]["memory"]) >= 1.25 * data


def _bytes_of(size: str) -> int:
    """Of Valkey's `1gb` and Kubernetes' `1536Mi`."""
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi|mb|gb)", size).groups()  # type: ignore[union-attr]
    return int(number) * 2 ** (20 if unit in ("Mi", "mb") else 30)


def test_two_producers_of_one_camera_never_run_at_once() -> None:
    producer = named(BASE, "Deployment", "emotion-producer")["spec"]
    assert producer["replicas"] == 1 and producer["strategy"] == {"type": "Recreate"}


def test_network_policies_shut_everything_and_open_what_is_needed() -> None:
    nothing = named(BASE, "NetworkPolicy", "emotion-nothing")["spec"]
    assert nothing["policyTypes"] == ["Ingress", "Egress"]
    assert nothing.keys() == {"podSelector", "policyTypes"}
    part_of = nothing["podSelector"]["matchLabels"].items()
    for workload, _ in workloads(documents("base")):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert part_of <= labels.items()
    for found in BASE:
        if found["kind"] == "NetworkPolicy" and found is not nothing:
            for rule in found["spec"].get("egress", []) + found["spec"].get("ingress", []):
                assert rule["ports"]


def test_secrets_are_those_that_pods_and_keda_ask_for(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("needs kubectl")  # in CI too: no package of Debian 12 has a new one
    names = ("producer.url", "worker.url", "view.url", "sources", "view.token", "users.acl")
    for name in (*names, "exporter.password"):
        (tmp_path / name).write_text(f"{name}'s secret\n")
    done = subprocess.run(
        [K8S / "secrets.sh", tmp_path, "valkey.emotion:6379"], capture_output=True, check=True
    )
    made = [found for found in yaml.safe_load_all(done.stdout) if found]
    validate(made)
    data = {found["metadata"]["name"]: found["data"] for found in made}
    for _, pod in workloads(BASE):
        for volume in pod["volumes"]:
            if secret := volume.get("secret"):
                wanted = {item["key"] for item in secret.get("items", [])}
                assert wanted <= data[secret["secretName"]].keys()
    (keda,) = [found for found in BASE if found["kind"] == "TriggerAuthentication"]
    given = {
        entry["parameter"]: b64decode(data[entry["name"]][entry["key"]]).decode()
        for entry in keda["spec"]["secretTargetRef"]
    }
    assert given == {
        "address": "valkey.emotion:6379",
        "username": "exporter",
        "password": "exporter.password's secret",
    }


def test_no_file_holds_a_secret() -> None:
    for path in K8S.rglob("*.yaml"):
        text = path.read_text("utf-8")
        assert not re.search(r"://[^\s/]*:[^\s/]*@", text)
        assert "kind: Secret\n" not in text
