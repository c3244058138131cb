"""`emotion-events` as people run it: a process, a pipe, a signal, a server that isn't there."""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from consumer.cli import main
from contract.event import Box, EmotionEvent, FaceEmotion, SourceRecord
from contract.keys import WORKERS_GROUP, Keys
from tests.integration.in_process import run_here

# Few of these: what the command is made of is tested on both in test_event_reader, test_snapshot.
both_servers = pytest.mark.both_servers

REPOSITORY = Path(__file__).parents[2]
KEYS = Keys("emotion")
NO_SERVER = "redis://:secret@127.0.0.1:1"


def make_event(seq: int, source: str = "cam") -> EmotionEvent:
    scores = {"happiness": 0.934, "neutral": 0.066}
    face = FaceEmotion(Box(1, 2, 31, 42), 0.99, "happiness", scores, 0.8, 0.5)
    now_ns = time.time_ns()
    return EmotionEvent(
        source, "s1", seq, now_ns, None, now_ns + 21_000_000, 640, 480, "m@1", (face,)
    )


def publish(client: redis.Redis, *seqs: int, source: str = "cam") -> None:
    for seq in seqs:
        client.xadd(KEYS.events, {b"m": make_event(seq, source).encode()})


def environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("EMOTION_")} | more


def emotion_events(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "consumer", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=REPOSITORY,
        env=environment(**variables),
        check=False,
    )


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command in the background; killed if the test leaves it behind."""
    with subprocess.Popen(
        [sys.executable, "-m", "consumer", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env=environment(),
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def seqs(output: str) -> list[int]:
    return [json.loads(line)["seq"] for line in output.splitlines()]


def test_json_lines_into_head(redis_url: str, redis_client: redis.Redis) -> None:
    publish(redis_client, *range(2000))
    command = f"{sys.executable} -m consumer --redis {redis_url} --from beginning --format jsonl"
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -5"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=REPOSITORY,
        env=environment(),
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert seqs(result.stdout) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("style", ["jsonl", "table"])
def test_it_ends_when_nobody_reads_any_more_though_nothing_new_comes(
    redis_url: str, redis_client: redis.Redis, style: str
) -> None:
    publish(redis_client, 0)
    with running("--redis", redis_url, "--from", "beginning", "--format", style) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize("style", ["jsonl", "table"])
def test_asked_to_stop_it_ends_though_nobody_takes_what_it_writes(
    redis_url: str, redis_client: redis.Redis, style: str, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, *range(3000))
    with running("--redis", redis_url, "--from", "beginning", "--format", style) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        waiting, filled_s = array.array("i", [0]), [time.monotonic()]

        def is_full() -> bool:
            before = waiting[0]
            fcntl.ioctl(process.stdout, termios.FIONREAD, waiting)
            if waiting[0] != before:
                filled_s[0] = time.monotonic()
            return waiting[0] > 50_000 and time.monotonic() - filled_s[0] > 0.5

        wait_until(is_full)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 1
        assert process.stderr.read() == (
            "emotion-events: stopped while nobody took what it writes\n"
        )


def test_asked_to_stop_it_ends_though_its_last_words_go_into_the_same_full_pipe(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, *range(3000))
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "consumer", "--redis", redis_url, "--from", "beginning",
             "--format", "jsonl"],
            stdout=writing, stderr=writing,
        )  # fmt: skip
        # A way in of our own, which does not wait: theirs must.
        filler = os.open(f"/proc/self/fd/{writing}", os.O_WRONLY | os.O_NONBLOCK)
        waiting, filled_s = array.array("i", [0]), [time.monotonic()]

        def is_stuck() -> bool:
            before = waiting[0]
            fcntl.ioctl(reading, termios.FIONREAD, waiting)
            if waiting[0] != before:
                filled_s[0] = time.monotonic()
            return waiting[0] > 50_000 and time.monotonic() - filled_s[0] > 0.5

        wait_until(is_stuck)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(filler, b"x")
        os.close(filler)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 1
    finally:
        os.close(reading)
        os.close(writing)


def test_status_that_nobody_reads(redis_url: str, redis_client: redis.Redis) -> None:
    publish(redis_client, 0)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "consumer", "status", "--redis", redis_url],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            cwd=REPOSITORY,
            env=environment(),
            check=False,
        )
    finally:
        os.close(writing)
    assert (result.returncode, result.stderr) == (0, "")


def test_count_and_source_and_records(redis_url: str, redis_client: redis.Redis) -> None:
    started = SourceRecord("cam", "s1", "started", time.time_ns(), 3)
    redis_client.xadd(KEYS.events, {b"m": started.encode()})
    for seq in range(3):
        publish(redis_client, seq, source="cam")
        publish(redis_client, seq, source="카메라")
    base = ("--redis", redis_url, "--from", "beginning", "--format", "jsonl")

    result = emotion_events(*base, "--count", "3")
    assert (result.returncode, result.stderr) == (0, "")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["source"], line["seq"]) for line in lines] == [
        ("cam", 0), ("카메라", 0), ("cam", 1)
    ]  # fmt: skip
    assert lines[0]["faces"][0]["label"] == "happiness"

    result = emotion_events(*base, "--source", "카메라", "--source", "none", "--idle", "0.1")
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [
        f"카메라/s1/{seq}" for seq in range(3)
    ]

    result = emotion_events(*base, "--records", "--count", "1")
    assert json.loads(result.stdout.splitlines()[0]) == started.to_dict()
    assert len(result.stdout.splitlines()) == 2


def test_json_is_utf_8_in_any_locale(redis_url: str, redis_client: redis.Redis) -> None:
    publish(redis_client, 0, source="카메라")
    result = subprocess.run(
        [sys.executable, "-m", "consumer", "--from", "beginning", "--count", "1",
         "--format", "jsonl"],
        capture_output=True,
        timeout=60,
        cwd=REPOSITORY,
        env=environment(EMOTION_REDIS=redis_url, PYTHONIOENCODING="latin-1"),
        check=True,
    )  # fmt: skip
    assert "카메라".encode() in result.stdout


def test_a_table_for_people(redis_url: str, redis_client: redis.Redis) -> None:
    publish(redis_client, 41, 42)
    result = emotion_events("--count", "2", EMOTION_REDIS=redis_url, EMOTION_FROM="beginning")
    assert result.returncode == 0
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["time", "source", "seq", "latency", "faces"]
    assert [row.split()[1:] for row in rows] == [
        ["cam", str(seq), "21", "ms", "happiness", "93", "%"] for seq in (41, 42)
    ]


@both_servers
def test_a_group_goes_on_where_it_stopped(redis_url: str, redis_client: redis.Redis) -> None:
    publish(redis_client, *range(6))
    base = ("--redis", redis_url, "--group", "g", "--format", "jsonl", "--from", "beginning")
    assert seqs(emotion_events(*base, "--count", "2").stdout) == [0, 1]
    assert seqs(emotion_events(*base, "--idle", "0.1").stdout) == [2, 3, 4, 5]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once(
    redis_url: str,
    redis_client: redis.Redis,
    signum: signal.Signals,
) -> None:
    publish(redis_client, 0)
    with running("--redis", redis_url, "--from", "beginning") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.send_signal(signum)
        assert process.wait(3) == 0
        assert process.stderr.read() == ""


@both_servers
def test_it_follows_what_comes_from_now_on(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 0)
    with running("--redis", redis_url, "--group", "g", "--format", "jsonl") as process:
        assert process.stdout is not None
        wait_until(lambda: bool(redis_client.xinfo_groups(KEYS.events)), what="the group")
        publish(redis_client, 1)
        assert seqs(process.stdout.readline()) == [1]
        process.terminate()
        assert process.wait(3) == 0


def test_missed_events_are_told_on_stderr(redis_url: str, redis_client: redis.Redis) -> None:
    publish(redis_client, *range(9))
    redis_client.xtrim(KEYS.events, maxlen=2, approximate=False)
    result = emotion_events("--redis", redis_url, "--from", "0", "--count", "2")
    assert "missed 7 events" in json.loads(result.stderr)["event"]


@pytest.mark.parametrize("arguments", [(), ("status",)])
def test_no_server_is_one_line(arguments: tuple[str, ...]) -> None:
    result = emotion_events(*arguments, "--redis", NO_SERVER)
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    assert "no Redis at redis://***@127.0.0.1:1" in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--from", "yesterday"), "--from: expected now, beginning or a stream id"),
        (("--count", "0"), "--count: "),
        (("--redis", "http://127.0.0.1"), "http://127.0.0.1"),
        (("--prefix", "a b"), "--prefix: "),
    ],
)
def test_what_cannot_be_used_is_named(arguments: tuple[str, ...], expected: str) -> None:
    result = run_here(main, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


def test_help_teaches(redis_url: str) -> None:
    result = emotion_events("--help")
    assert result.returncode == 0
    for word in ("emotion-events status", "--from", "--group", "EMOTION_FROM"):
        assert word in result.stdout
    result = emotion_events("status", "--help")
    assert result.returncode == 0
    assert "--format {table,json}" in result.stdout


def test_status_of_a_system_that_never_ran(redis_url: str) -> None:
    result = emotion_events("status", "--redis", redis_url, "--prefix", "studio")
    assert result.returncode == 0
    assert f"Nothing has run yet at {redis_url} with prefix studio." in result.stdout


@both_servers
def test_status_of_a_running_system(redis_url: str, redis_client: redis.Redis) -> None:
    # As producer and workers leave it: five published, one of them still with a worker.
    fence = f"1:s1:4:started:{time.time_ns()}"
    redis_client.hset(KEYS.fence, "cam", fence)
    redis_client.hset(
        KEYS.stats, mapping={"published": 5, "events": 2, "dead": 1, "dropped:stale": 1}
    )
    redis_client.xgroup_create(KEYS.frames, WORKERS_GROUP, "0", mkstream=True)
    redis_client.xadd(KEYS.frames, {b"m": b"frame"})
    redis_client.xreadgroup(WORKERS_GROUP, "host-1", {KEYS.frames: ">"})
    redis_client.xadd(KEYS.dead, {b"m": b"frame", b"reason": b"image"})
    publish(redis_client, 0, 1)

    result = emotion_events("status", "--redis", redis_url)
    assert (result.returncode, result.stderr) == (0, "")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["cam", "started", "s1", "5"] in [row[:4] for row in rows]
    assert ["host-1", "1"] in [row[:2] for row in rows]
    assert ["backlog", "1"] in [row[:2] for row in rows]
    assert ["dropped", "1", "stale", "1"] in rows
    assert "Every frame is accounted for" in result.stdout

    result = emotion_events("status", "--redis", redis_url, "--format", "json")
    status: dict[str, Any] = json.loads(result.stdout)
    assert (status["published"], status["backlog"], status["pending"]) == (5, 1, 1)
    assert status["unaccounted"] == 0
    assert status["sources"][0]["last_seq"] == 4
    assert status["workers"][0]["name"] == "host-1"
    assert status["workers"][0]["silent"] is False
