"""What probes see: alive while the loop turns, ready once warmed up."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from contract.errors import UsageError
from contract.process.health import Health, HealthServer
from contract.process.probe import main, probe
from tests.ports import free_port


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_ready_and_alive_follow_the_loop() -> None:
    now_s = [0.0]
    health = Health(max_silence_s=10.0, clock=lambda: now_s[0])
    with HealthServer(CollectorRegistry(), health, host="127.0.0.1", port=0) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert (status(f"{url}/livez"), status(f"{url}/readyz")) == (200, 503)
        health.ready()
        assert (status(f"{url}/livez"), status(f"{url}/readyz")) == (200, 200)
        now_s[0] = 11.0  # the loop hangs
        assert (status(f"{url}/livez"), status(f"{url}/readyz")) == (503, 503)
        health.beat()
        assert (status(f"{url}/livez"), status(f"{url}/readyz")) == (200, 200)
        health.not_ready()
        assert (status(f"{url}/livez"), status(f"{url}/readyz")) == (200, 503)
        assert status(f"{url}/elsewhere") == 404


def test_metrics_are_what_a_prometheus_parser_reads() -> None:
    registry = CollectorRegistry()
    Counter("emotion_things", "Things", registry=registry).inc(3)
    with (
        HealthServer(registry, Health(), host="127.0.0.1", port=0) as server,
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as reply,
    ):
        families = list(text_string_to_metric_families(reply.read().decode()))
    samples = {sample.name: sample.value for family in families for sample in family.samples}
    assert samples == {"emotion_things_total": 3.0}


def test_a_taken_port_is_named() -> None:
    registry, health = CollectorRegistry(), Health()
    with HealthServer(registry, health, host="127.0.0.1", port=0) as server:
        taken = f"--metrics-port {server.port}: Address already in use"
        with pytest.raises(UsageError, match=taken):
            HealthServer(registry, health, host="127.0.0.1", port=server.port)


def test_a_probe_says_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with HealthServer(CollectorRegistry(), Health(), host="127.0.0.1", port=0) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert probe(f"{url}/livez") is None
        assert probe(f"{url}/readyz") == f"{url}/readyz: expected 200, got 503"
        assert probe(f"{url}/readyz", {200, 503}) is None
        assert main([f"{url}/livez"]) == 0 and main([f"{url}/readyz", "200", "503"]) == 0
        assert capsys.readouterr().err == ""
        assert main([f"{url}/readyz"]) == 1
        assert "got 503" in capsys.readouterr().err
    nobody = f"http://127.0.0.1:{free_port()}/livez"
    assert (probe(nobody) or "").startswith(f"{nobody}: ")
