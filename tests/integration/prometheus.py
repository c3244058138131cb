"""Debian's Prometheus, promtool and redis_exporter on the shipped configuration."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml

from tests.conftest import REPOSITORY, optional_tool
from tests.ports import free_port

SHIPPED = REPOSITORY / "deploy" / "prometheus"
SCRAPE_S = 1
_START_TIMEOUT_S = 30.0

Series = tuple[dict[str, str], list[tuple[float, float]]]


def resolved(expr: str, *, pace_s: int = 5 * SCRAPE_S, range_s: int = 60) -> str:
    """A query of the dashboard as Grafana would send it, with `All` chosen everywhere."""
    expr = expr.replace("$__rate_interval", f"{pace_s}s").replace("$__range", f"{range_s}s")
    return re.sub(r"\$(namespace|source|worker)", ".*", expr)


def promtool(*arguments: str) -> None:
    """Run it; fails with what it says."""
    program = optional_tool("promtool (Debian package prometheus)", shutil.which("promtool"))
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


class Program:
    """A server that is asked over HTTP; a context manager, which starts and ends it."""

    def __init__(self, command: Sequence[str], port: int, ready: str) -> None:
        self.address = f"127.0.0.1:{port}"
        self._command = command
        self._ready = ready

    def __enter__(self) -> Any:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                with urllib.request.urlopen(f"http://{self.address}{self._ready}", timeout=5):
                    return self
            except OSError:
                if time.monotonic() > deadline_s or self._process.poll() is not None:
                    self.__exit__(None, None, None)
                    raise
                time.sleep(0.05)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(20)


class RedisExporter(Program):
    """redis_exporter for the server at `url`."""

    def __init__(self, url: str) -> None:
        program = optional_tool(
            "prometheus-redis-exporter (Debian)", shutil.which("prometheus-redis-exporter")
        )
        port = free_port()
        listen = f"-web.listen-address=127.0.0.1:{port}"
        super().__init__([program, f"-redis.addr={url}", listen], port, "/metrics")


class Prometheus(Program):
    """Prometheus on a copy of deploy/prometheus in `folder`; only intervals and targets differ.

    `targets`: addresses by the name of their file in targets/.
    """

    def __init__(self, folder: Path, targets: Mapping[str, Sequence[str]]) -> None:
        program = optional_tool("prometheus (Debian)", shutil.which("prometheus"))
        copy = folder / "prometheus"
        shutil.copytree(SHIPPED, copy)
        for path in (copy / "targets").glob("*.yml"):
            path.write_text(yaml.safe_dump([{"targets": list(targets.get(path.stem, ()))}]))
        for path in (copy / "prometheus.yml", copy / "rules" / "recording.yml"):
            text = re.sub(r"(interval): [0-9]+s", rf"\1: {SCRAPE_S}s", path.read_text())
            path.write_text(text)
        port = free_port()
        command = [
            program,
            f"--config.file={copy / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        super().__init__(command, port, "/-/ready")

    def ask(self, path: str, **parameters: object) -> Any:
        """The `data` of an answer of the API. Raises `ValueError` with what Prometheus says."""
        query = urllib.parse.urlencode({key: str(value) for key, value in parameters.items()})
        try:
            with urllib.request.urlopen(
                f"http://{self.address}/api/v1/{path}?{query}", timeout=20
            ) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(f"{query}: {error.read().decode()}") from error

    def range(self, expr: str, *, start_s: float, end_s: float, step_s: float) -> list[Series]:
        """Labels and finite points of every series that has some."""
        found = self.ask("query_range", query=expr, start=start_s, end=end_s, step=step_s)
        series = [
            (
                item["metric"],
                [(at_s, number) for at_s, text in item["values"] if _finite(number := float(text))],
            )
            for item in found["result"]
        ]
        return [(labels, points) for labels, points in series if points]

    def firing(self) -> dict[str, dict[str, str]]:
        """Labels of the alerts that fire, by name."""
        return {
            alert["labels"]["alertname"]: alert["labels"]
            for alert in self.ask("alerts")["alerts"]
            if alert["state"] == "firing"
        }


def _finite(number: float) -> bool:
    return math.isfinite(number)
