"""What the alerts rely on: counters that exist before they count, restarts, kinds of sources."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

import contract
import worker
from contract.snapshot import Snapshot
from producer.metrics import ProducerMetrics
from worker.metrics import (
    BURY_REASONS,
    DROP_REASONS,
    OUTCOMES,
    PartitionCollector,
    WorkerMetrics,
)


def snapshot(dropped: dict[str, int]) -> Snapshot:
    return Snapshot(9, 4, 1, dropped, 0, 0, 0, 2, 0, 1, 100, 4, (), ())


def test_a_worker_counts_from_zero() -> None:
    registry = CollectorRegistry()
    WorkerMetrics(registry)
    for outcome in OUTCOMES:
        assert registry.get_sample_value("emotion_frames_total", {"outcome": outcome}) == 0
    for reason in BURY_REASONS:
        labels = {"reason": reason}
        assert registry.get_sample_value("emotion_dead_letters_by_reason_total", labels) == 0


def test_every_reason_to_bury_a_frame_is_counted_from_zero() -> None:
    """Those that the code gives are those that the metrics know."""
    folders = [Path(str(package.__file__)).parent for package in (contract, worker)]
    given = set()
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        calls = r'(?:raise DecodeError|Rejected|\.bury)\(\s*(?:delivery,\s*)?"(\w+)"'
        given |= set(re.findall(calls, path.read_text("utf-8")))
    assert given == set(BURY_REASONS)


def test_drops_that_never_happened_are_reported_as_zero() -> None:
    registry = CollectorRegistry()
    registry.register(PartitionCollector(lambda: {0: snapshot({"stale": 2, "odd": 1})}))

    def dropped(reason: str) -> float | None:
        labels = {"partition": "0", "reason": reason}
        return registry.get_sample_value("emotion_partition_dropped_total", labels)

    assert {reason: dropped(reason) for reason in (*DROP_REASONS, "odd")} == {
        "stale": 2, "trimmed": 0, "unread": 0, "odd": 1,
    }  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="prometheus_client reads /proc")
def test_a_restart_can_be_seen() -> None:
    of_worker, of_producer = CollectorRegistry(), CollectorRegistry()
    WorkerMetrics(of_worker)
    ProducerMetrics(of_producer, [])
    for registry in (of_worker, of_producer):
        assert registry.get_sample_value("process_start_time_seconds") > 1e9  # type: ignore[operator]


def test_a_source_says_what_it_is() -> None:
    registry = CollectorRegistry()
    metrics = ProducerMetrics(registry, ["lobby"])
    metrics.describe("lobby", kind="url", mode="live")
    labels = {"source": "lobby", "kind": "url", "mode": "live"}
    assert registry.get_sample_value("emotion_source_info", labels) == 1
