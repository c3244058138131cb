"""The rules: promtool runs them on made-up series, and each alert has all that its reader needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.integration.prometheus import SHIPPED, promtool

TESTS = sorted((REPOSITORY / "tests" / "data" / "alerts").glob("*.yml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def rules() -> list[dict[str, Any]]:
    paths = sorted((SHIPPED / "rules").glob("*.yml"))
    return [rule for path in paths for group in read(path)["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.docker.yml"])
def test_prometheus_takes_the_configuration(name: str) -> None:
    promtool("check", "config", str(SHIPPED / name))


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", *map(str, TESTS))


def test_each_alert_was_seen_firing() -> None:
    fired = set()
    for case in (case for path in TESTS for case in read(path)["tests"]):
        for look in case["promql_expr_test"]:
            for sample in look["exp_samples"]:
                fired |= set(re.findall(r'alertname="(\w+)"', sample["labels"]))
    assert fired == {alert["alert"] for alert in alerts()}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_an_alert_says_how_bad_it_is_what_happened_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in ("critical", "warning")
    assert set(alert["annotations"]) == {"summary", "description"}
    assert f"\n### {alert['alert']}\n" in (SHIPPED / "README.md").read_text("utf-8")
