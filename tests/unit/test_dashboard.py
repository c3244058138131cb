"""The dashboard: every panel explains itself, every query is PromQL and asks for what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, Metric

from deploy.grafana.dashboard import FILE, ROWS, as_json
from deploy.grafana.panel import ROW_WIDTH, Panel
from producer.metrics import ProducerMetrics
from tests.integration.prometheus import promtool, resolved
from tests.unit.test_alerts import rules
from tests.unit.test_metrics import snapshot
from worker.metrics import PartitionCollector, WorkerMetrics

PANELS = [panel for row in ROWS for panel in row.panels]


def exported() -> set[str]:
    """Names of all series that the roles serve, `up` and the like aside."""
    registry = CollectorRegistry()
    WorkerMetrics(registry).model.info({"model": "m"})
    registry.register(PartitionCollector(lambda: {0: snapshot({})}))
    producers = CollectorRegistry()
    ProducerMetrics(producers, ["cam"]).describe("cam", kind="camera", mode="live")
    families: list[Metric] = [*registry.collect(), *producers.collect()]
    ends = {"counter": ("_total",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count")}
    return {family.name + end for family in families for end in ends.get(family.type, ("",))}


def test_rules_and_panels_ask_for_metrics_that_exist() -> None:
    exprs = [rule["expr"] for rule in rules()]
    exprs += [query.expr for panel in PANELS for query in panel.queries]
    # A recorded series has a colon in front of our name.
    asked = {
        name
        for expr in exprs
        for name in re.findall(r"(?<![:\w])(?:emotion|process)_\w+", re.sub(r'"[^"]*"', "", expr))
    }
    assert asked - exported() == set()
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert {name for expr in exprs for name in re.findall(r"namespace\w*:[\w:]+", expr)} <= recorded


def test_the_dashboard_is_what_its_description_makes() -> None:
    assert FILE.read_text("utf-8") == as_json(), "run python -m deploy.grafana"


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel.title))
def test_a_panel_says_what_it_shows(panel: Panel) -> None:
    assert panel.title
    assert panel.unit
    assert panel.description.endswith(".")
    assert panel.queries
    # Legends on their own lines tell series apart.
    legends = [query.legend for query in panel.queries]
    assert len(legends) == 1 or all(legends)


def test_rows_are_full() -> None:
    for row in ROWS:
        assert sum(panel.width for panel in row.panels) % ROW_WIDTH == 0, row.title


def test_every_query_is_promql(tmp_path: Path) -> None:
    exprs = [resolved(query.expr) for panel in PANELS for query in panel.queries]
    records = [{"record": f"query:{place}", "expr": expr} for place, expr in enumerate(exprs)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": records}]}))
    promtool("check", "rules", str(file))
