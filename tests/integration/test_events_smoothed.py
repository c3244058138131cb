"""`emotion-events --smoothed` and its files, as people run it."""

from __future__ import annotations

import csv
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import redis

from consumer.cli import main
from contract.event import Box, EmotionEvent, FaceEmotion, SourceRecord
from contract.keys import Keys
from contract.smoothed import SmoothedEvent, Transition, decode_signal, signal_from_dict
from tests.integration.in_process import run_here
from tests.integration.test_events_command import REPOSITORY, emotion_events, environment, running

KEYS = Keys("emotion")
FRAMES = 30


def publish_session(client: redis.Redis, source: str = "cam") -> None:
    """Three seconds of one person at 10 frames/s, happy and then angry, as workers would."""
    now_ns = time.time_ns()
    entries: list[bytes] = [SourceRecord(source, "s1", "started", now_ns, FRAMES).encode()]
    for seq in range(FRAMES):
        glad = 0.9 if seq < FRAMES / 2 else 0.05
        scores = {"happiness": glad, "anger": 0.95 - glad, "neutral": 0.05}
        label = max(scores, key=scores.__getitem__)
        face = FaceEmotion(Box(100, 50, 190, 160), 0.99, label, scores, 0.0, 0.0, 0.1)
        at_ns = now_ns + seq * 100_000_000
        entries.append(
            EmotionEvent(
                source, "s1", seq, at_ns, seq * 100_000_000, at_ns + 20_000_000, 640, 480, "m@1",
                (face,),
            ).encode()
        )  # fmt: skip
    entries[5], entries[6] = entries[6], entries[5]  # two workers finished out of order
    entries.append(SourceRecord(source, "s1", "ended", now_ns + FRAMES * 10**8, FRAMES).encode())
    for data in entries:
        client.xadd(KEYS.events, {b"m": data})


def test_json_lines_of_people(redis_url: str, redis_client: redis.Redis) -> None:
    publish_session(redis_client)
    done = emotion_events(
        "--redis", redis_url, "--from", "beginning", "--idle", "1", "--smoothed",
        "--format", "jsonl",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    signals = [signal_from_dict(json.loads(line)) for line in done.stdout.splitlines()]
    steady = [s for s in signals if isinstance(s, SmoothedEvent)]
    assert [s.seq for s in steady] == list(range(FRAMES))
    changes = [(s.change, s.before, s.label) for s in signals if isinstance(s, Transition)]
    assert changes == [
        ("person_entered", None, "happiness"),
        ("emotion_changed", "happiness", "anger"),
        ("person_left", None, "anger"),
    ]
    people = [s.people[0] for s in steady if s.people]
    assert {p.track for p in people} == {1}
    # The valence goes down by and by, from happiness' to anger's.
    valences = [p.valence for p in people]
    assert valences[0] > 0.65
    assert valences[-1] < -0.35
    assert max(a - b for a, b in pairwise(valences)) < 0.4


def test_raw_with_a_table_of_ones_own(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    publish_session(redis_client)
    table = tmp_path / "affect.json"
    table.write_text('{"happiness": [1, 0], "anger": [-1, 0], "neutral": [0, 0]}')
    done = emotion_events(
        "--redis", redis_url, "--from", "beginning", "--idle", "1", "--smoothed",
        "--format", "jsonl", "--smoothing", "0", "--dwell", "0s", "--affect", str(table),
    )  # fmt: skip
    signals = [signal_from_dict(json.loads(line)) for line in done.stdout.splitlines()]
    valences = [s.people[0].valence for s in signals if isinstance(s, SmoothedEvent) and s.people]
    assert valences[-1] == pytest.approx(0.05 - 0.9)
    assert sorted({round(v, 6) for v in valences}) == [-0.85, 0.85]


def test_every_destination_at_once(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    publish_session(redis_client)
    done = emotion_events(
        "--redis", redis_url, "--from", "beginning", "--idle", "1", "--range", "0..1",
        "--csv", str(tmp_path / "take.csv"), "--jsonl", str(tmp_path / "take.jsonl"), "--publish",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # Standard output shows faces, as without the others.
    assert len(done.stdout.splitlines()) == 1 + FRAMES + 2
    assert "happiness 90 %" in done.stdout
    with (tmp_path / "take.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = (tmp_path / "take.jsonl").read_text("utf-8").splitlines()
    signals = [signal_from_dict(json.loads(line)) for line in lines]
    stream = [decode_signal(entry) for _, entry in redis_client.xrange(KEYS.smoothed)]
    assert stream == signals
    people = [(s, p) for s in signals if isinstance(s, SmoothedEvent) for p in s.people]
    assert [(int(row["seq"]), int(row["track"]), row["label"]) for row in rows] == [
        (s.seq, p.track, p.label) for s, p in people
    ]
    assert float(rows[-1]["valence"]) == pytest.approx((people[-1][1].valence + 1) / 2, abs=1e-3)
    assert not redis_client.exists(KEYS.smoother)


def test_a_signal_finishes_the_files(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    path = tmp_path / "take.jsonl"
    command = ["--redis", redis_url, "--from", "beginning", "--jsonl", str(path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "consumer", *command],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
        env=environment(),
    )  # fmt: skip
    partial = tmp_path / "take.jsonl.partial"
    try:
        publish_session(redis_client)
        wait_until(lambda: partial.exists() and "ended" in partial.read_text("utf-8"), 20)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert not partial.exists()
    assert len(path.read_text("utf-8").splitlines()) == FRAMES + 2 + 3


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--format", "csv"], "--format csv: a row is a person, so it needs --smoothed"),
        (["--smoothing", "soon"], "--smoothing: expected seconds, as in 0.4, 0.4s, 400ms"),
        (["--rate", "-3"], "--rate: expected a rate, as in 10 or 10Hz, got '-3'"),
        (["--range", "0..127"], "--range: expected '-1..1' or '0..1', got '0..127'"),
        (["--csv", "/no/x.csv"], "--csv /no/x.csv: the folder /no does not exist"),
        (["--csv", "/"], "--csv /: is a folder, expected a file name"),
        (["--jsonl", "/dev/null"], "--jsonl /dev/null: is not a regular file"),
        (["--csv", "a", "--jsonl", "./a"], "--csv and --jsonl: expected different files"),
        (
            ["--affect", "/nowhere.json", "--smoothed"],
            "--affect: /nowhere.json: No such file or directory",
        ),
        (["--idle", "soon"], "--idle: expected seconds, as in 0.4, 0.4s, 400ms"),
        (["--no-such-flag"], "--no-such-flag: no such flag"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(redis_url: str, arguments: list[str], fault: str) -> None:
    done = run_here(main, "--redis", redis_url, *arguments)
    assert done.returncode == 2
    assert fault in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_cannot_begin_leaves_no_file(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("old")
    done = emotion_events(
        "--redis", redis_url, "--csv", str(tmp_path / "old.csv"), "--jsonl", str(tmp_path / "new"),
        "--osc", "nowhere.invalid:9000",
    )  # fmt: skip
    assert done.returncode == 2
    assert "--osc nowhere.invalid:9000: host not found" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]


def test_a_flag_without_effect_is_said_to_be_one(redis_url: str) -> None:
    done = emotion_events("--redis", redis_url, "--idle", "0.1s", "--dwell", "2s", "--rate", "5")
    assert done.returncode == 0
    assert "without effect: --dwell, --rate; people are made" in done.stderr
    done = emotion_events("--redis", redis_url, "--idle", "0.1s", "--dwell", "2s", "--smoothed")
    assert "without effect" not in done.stderr


def test_a_full_disk_takes_nothing_from_the_other_files(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    publish_session(redis_client)
    command = [
        "--redis", redis_url, "--from", "beginning", "--idle", "1",
        "--csv", str(tmp_path / "take.csv"), "--midi", str(tmp_path / "take.mid"),
    ]  # fmt: skip
    most_bytes = 4096  # of any file: what is longer cannot be written
    done = subprocess.run(
        [sys.executable, "-m", "consumer", *command],
        capture_output=True, text=True, timeout=60, cwd=REPOSITORY, env=environment(), check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert f"what was written so far is in {tmp_path / 'take.csv.partial'}" in done.stderr
    assert (tmp_path / "take.csv.partial").stat().st_size == most_bytes
    assert (tmp_path / "take.mid").read_bytes().startswith(b"MThd")
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_played_goes_on_when_nobody_reads_what_is_shown(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    publish_session(redis_client)
    path = tmp_path / "take.jsonl"
    with running(
        "--redis", redis_url, "--from", "beginning", "--idle", "2", "--jsonl", str(path)
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == ""
    assert len(path.read_text("utf-8").splitlines()) == FRAMES + 2 + 3


def test_the_last_of_a_count_is_played_too(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    publish_session(redis_client)
    path = tmp_path / "take.jsonl"
    # The sixth to come is the seventh that was captured, so it waits for the one between.
    done = emotion_events(
        "--redis", redis_url, "--from", "beginning", "--count", "5", "--jsonl", str(path)
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [line["seq"] for line in lines if line["kind"] == "smoothed"] == [0, 1, 2, 3, 5]


def test_two_publishers(redis_url: str, redis_client: redis.Redis) -> None:
    redis_client.set(KEYS.smoother, "somebody")
    done = emotion_events("--redis", redis_url, "--publish")
    assert done.returncode == 2
    assert "--publish: another process publishes emotion:{0}:smoothed on" in done.stderr
