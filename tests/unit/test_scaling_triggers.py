"""What KEDA watches: both triggers for every partition, with numbers that can be reached."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import yaml

from contract.keys import WORKERS_GROUP, Keys
from producer.settings import ProducerSettings
from tests.manifests import BASE, K8S, Object, build, built, named, validate

COMPONENTS = K8S / "components"
MAX_BACKLOG = ProducerSettings.model_fields["max_backlog"].default


def scaling(objects: list[Object]) -> Object:
    spec: Object = named(objects, "ScaledObject", "emotion-worker")["spec"]
    return spec


def check(spec: Object, partitions: int) -> list[int]:
    """Both triggers of each partition and no other; gives streamLength of each."""
    metadata = [trigger["metadata"] for trigger in spec["triggers"]]
    assert len({trigger["name"] for trigger in spec["triggers"]}) == len(metadata)
    backlogs = [each for each in metadata if "consumerGroup" not in each]
    pending = [each for each in metadata if "consumerGroup" in each]
    streams = [Keys(partition=number).frames for number in range(partitions)]
    assert [each["stream"] for each in backlogs] == streams
    assert [each["stream"] for each in pending] == streams
    for each in backlogs:
        # With a group KEDA would look at its lag, which is null after XDEL, or at what is pending.
        assert each.keys() == {"stream", "streamLength"}
        # Each partition has a backlog of its own; beyond it no more workers would be asked for.
        assert int(each["streamLength"]) * spec["maxReplicaCount"] <= MAX_BACKLOG
    for each in pending:
        assert each["consumerGroup"] == WORKERS_GROUP
        assert each.keys() == {"stream", "consumerGroup", "pendingEntriesCount"}
    for trigger in spec["triggers"]:
        assert trigger["type"] == "redis-streams"
        named(BASE, "TriggerAuthentication", trigger["authenticationRef"]["name"])
    lengths = [int(each["streamLength"]) for each in backlogs]
    assert [int(each["pendingEntriesCount"]) for each in pending] == lengths
    return lengths


@pytest.mark.parametrize("overlay", [None, "cpu", "gpu"])
def test_scaling_watches_the_backlog_and_what_is_pending(overlay: str | None) -> None:
    spec = scaling(built(overlay) if overlay else BASE)
    # A server drops what it does not know, and says nothing.
    assert spec.keys() == {
        "scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval",
        "cooldownPeriod", "triggers", "advanced",
    }  # fmt: skip
    assert spec["scaleTargetRef"] == {"name": "emotion-worker"}
    assert spec["minReplicaCount"] == 0
    (length,) = check(spec, 1)
    assert length == (64 if overlay == "gpu" else 5)  # a GPU's --batch-size


def test_no_triggers_are_forgotten() -> None:
    names = {path.name for path in COMPONENTS.iterdir()}
    assert names == {"gpu-scaling", *(name for _, _, name in CASES)}


CASES = [
    (overlay, partitions, f"{'gpu-' if overlay == 'gpu' else ''}partitions-{partitions}")
    for overlay in ("cpu", "gpu")
    for partitions in (2, 4)
]


@pytest.mark.parametrize(("overlay", "partitions", "component"), CASES)
def test_more_partitions_have_a_component(
    overlay: str, partitions: int, component: str, tmp_path: Path
) -> None:
    """As its line in the overlay puts it in; the overlay names it."""
    patch = yaml.safe_load((COMPONENTS / component / "triggers.yaml").read_text("utf-8"))
    triggers = patch["spec"].pop("triggers")
    assert patch["spec"] == {}
    whole = scaling(BASE)["maxReplicaCount"]
    lengths = check({"triggers": triggers, "maxReplicaCount": whole}, partitions)
    # KEDA goes by the fullest partition alone: together as many frames for a worker as with one.
    assert set(lengths) == {math.ceil((64 if overlay == "gpu" else 5) / partitions)}
    text = (K8S / "overlays" / overlay / "kustomization.yaml").read_text("utf-8")
    assert f"# - ../../components/{component.replace('4', '2')}  #" in text

    parts = [K8S / "overlays" / overlay, COMPONENTS / component]
    base, own = (os.path.relpath(part, tmp_path.resolve()) for part in parts)
    (tmp_path / "kustomization.yaml").write_text(
        yaml.safe_dump({"namespace": "own", "resources": [base], "components": [own]})
    )
    objects = build(tmp_path)
    validate(objects)
    assert scaling(objects)["triggers"] == triggers
    assert scaling(objects)["maxReplicaCount"] == (4 if overlay == "gpu" else 8)
