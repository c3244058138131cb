"""What deploy/k8s gives the Prometheus operator and Grafana's sidecar."""

from __future__ import annotations

import json

import pytest
import yaml

from deploy.prometheus.operator_rules import FILE, as_yaml
from tests.integration.prometheus import SHIPPED
from tests.manifests import BASE, K8S, Object, built, named

DASHBOARDS = K8S.parent / "grafana" / "dashboards"


def test_prometheus_finds_what_serves_metrics() -> None:
    monitor = named(BASE, "PodMonitor", "emotion-stream")["spec"]
    (wanted,) = monitor["selector"]["matchExpressions"]
    assert wanted["values"] == ["emotion-producer", "emotion-worker"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    for name in wanted["values"]:
        template = named(BASE, "Deployment", name)["spec"]["template"]
        assert template["metadata"]["labels"][monitor["jobLabel"]] == name
        (container,) = template["spec"]["containers"]
        assert endpoint["port"] in [port["name"] for port in container["ports"]]


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_the_operator_gets_the_rules_that_were_tested(overlay: str) -> None:
    objects = built(overlay)
    paths = sorted((SHIPPED / "rules").glob("*.yml"))
    assert {o["metadata"]["name"] for o in objects if o["kind"] == "PrometheusRule"} == {
        f"emotion-stream-{path.stem}" for path in paths
    }
    for path in paths:
        rule = named(objects, "PrometheusRule", f"emotion-stream-{path.stem}")
        tested = yaml.safe_load(path.read_text("utf-8"))
        assert rule["spec"].keys() == tested.keys() == {"groups"}
        for ours, theirs in zip(tested["groups"], rule["spec"]["groups"], strict=True):
            assert list(map(_on_one_line, ours.pop("rules"))) == list(
                map(_on_one_line, theirs["rules"])
            )
            assert ours.items() <= theirs.items()


def _on_one_line(rule: Object) -> Object:
    """kustomize's YAML gets line breaks more in folded text; they mean nothing in PromQL."""
    return {**rule, "expr": " ".join(rule["expr"].split())}


def test_the_rules_are_those_of_prometheus() -> None:
    assert FILE.read_text("utf-8") == as_yaml(), "run python -m deploy.prometheus"


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_grafanas_sidecar_finds_the_dashboard(overlay: str) -> None:
    found = named(built(overlay), "ConfigMap", "emotion-stream-dashboard")
    assert found["metadata"]["labels"] == {"grafana_dashboard": "1"}
    (name,) = found["data"]
    assert found["data"][name] == (DASHBOARDS / name).read_text("utf-8")
    # `kubectl apply` writes all of it into an annotation, too, which holds 256 KiB.
    assert len(json.dumps(found)) < 200_000
