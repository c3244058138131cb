"""What the sizing benchmark computes, and that the shipped limits fit the shipped memory."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from rich.console import Console

from tests.benchmarks.redis_memory import BACKLOG, EVENTS, LETTERS
from tests.benchmarks.sizing.check import Check, check_table
from tests.benchmarks.sizing.costs import Cost, face_ms
from tests.benchmarks.sizing.footage import scrambled, surrounded
from tests.benchmarks.sizing.plan import LOAD, cost_table, need, need_table, sizes
from tests.benchmarks.sizing.stream_memory import LETTER_BYTES, stream_bytes
from worker.settings import WorkerSettings

DEPLOY = Path(__file__).parents[2] / "deploy"
ALERT = 0.8  # RedisMemoryHigh
LETTERS_BYTES = WorkerSettings.model_fields["keep_dead_mb"].default * 2**20

SMALL = Cost(
    name="640x480", width=640, faces=1.0, frames_per_s=200.0,
    producer_ms=2.0, worker_ms=7.0, server_ms=0.35, reader_ms=0.2,
    message_bytes=25_000.0, event_bytes=500.0, in_bytes=26_000.0, out_bytes=25_500.0,
    disk_bytes=26_000.0,
)  # fmt: skip
COSTS = [
    SMALL,
    replace(SMALL, name="1280x720", width=1280, worker_ms=14.0, message_bytes=90_000.0),
    replace(SMALL, name="no faces", faces=0.0, worker_ms=4.5),
    replace(SMALL, name="a crowd", faces=5.0, worker_ms=17.0),
]


def shown(table: Any) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_a_face_costs_what_the_footage_of_one_size_differs_by() -> None:
    assert face_ms(COSTS) == pytest.approx(2.5)


def test_cameras_are_frames_times_costs() -> None:
    row = need(SMALL, 10, 2.5)
    assert row.cameras_a_core == pytest.approx(LOAD * 1000 / 70)
    assert row.cameras_a_redis == pytest.approx(LOAD * 1000 / 3.5)
    assert row.producer_cores == pytest.approx(0.02)
    assert row.network == pytest.approx(515_000)
    assert row.file == pytest.approx(10 * 3600 * 26_000)
    assert row.backlog == pytest.approx(stream_bytes(BACKLOG, 25_000))


def test_a_camera_is_counted_with_one_face_whatever_it_was_measured_with() -> None:
    crowded = replace(SMALL, faces=3.0, worker_ms=12.0)
    assert need(crowded, 10, 2.5).cameras_a_core == pytest.approx(
        need(SMALL, 10, 2.5).cameras_a_core
    )


def test_the_tables_say_what_was_measured_and_how_the_rest_is_computed() -> None:
    assert [cost.name for cost in sizes(COSTS)] == ["640x480", "1280x720"]
    assert "a crowd" in shown(cost_table(COSTS))
    text = shown(need_table(COSTS))
    assert "frames/s x bytes" in text
    assert re.search(r"1280 +│ +5 ", text)
    roles = {"producer": 0.2, "worker": 1.0, "redis": 0.04, "reader": 0.02}
    tried = Check(10, 1.1, roles, {**roles, "worker": 1.1}, 1000, 995, None)
    assert "+10%" in shown(check_table(tried))
    assert "overloaded" not in shown(check_table(tried))
    assert "overloaded" in shown(check_table(replace(tried, events=900)))


def test_scrambling_keeps_every_pixel_and_its_neighbours() -> None:
    image = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    mixed = scrambled(image)
    assert not np.array_equal(mixed, image)
    assert np.array_equal(np.sort(mixed, axis=None), np.sort(image, axis=None))
    wide = surrounded(image, 1280, 720)
    assert wide.shape == (720, 1280, 3)
    assert np.array_equal(wide[:480, :640], image)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (470, 4096 / 8),  # eight share a node
        (4096, 5120),  # one alone, rounded up to a class of jemalloc
        (100_000, 114_688),
    ],
)
def test_nodes_are_rounded_up_to_jemallocs_classes(message: int, expected: float) -> None:
    assert stream_bytes(1000, message) / 1000 == pytest.approx(expected, abs=45)


def shipped_memory() -> list[str]:
    compose = (DEPLOY / "compose.yaml").read_text("utf-8")
    found = re.search(r"\$\{EMOTION_REDIS_MEMORY:-(\w+)\}", compose)
    assert found is not None
    (server, *_) = yaml.safe_load_all((DEPLOY / "k8s/valkey/valkey.yaml").read_text("utf-8"))
    arguments = server["spec"]["template"]["spec"]["containers"][0]["args"]
    return [found[1], arguments[arguments.index("--maxmemory") + 1]]


def test_redis_as_shipped_holds_all_that_one_partition_keeps_without_an_alert() -> None:
    """At the defaults: frames of 1280 pixels, eight faces in every event, `--publish`, and dead
    letters up to their bytes, as large as they can be and still be a thousand."""
    letter = LETTERS_BYTES / LETTERS
    kept = (
        stream_bytes(BACKLOG, 90_000)
        + stream_bytes(EVENTS, 2_170)
        + stream_bytes(EVENTS, 1_780)
        + stream_bytes(LETTERS, letter + LETTER_BYTES)
    )
    for memory in shipped_memory():
        assert memory == "1gb"
        assert kept < ALERT * 2**30
