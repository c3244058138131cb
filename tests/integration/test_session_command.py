"""`emotion-events record` and `replay` as people run them, on a real server."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from consumer.cli import main
from consumer.session import Player, SessionReader, SessionWriter
from contract.errors import SessionError
from contract.event import Box, EmotionEvent, FaceEmotion, Record, SourceRecord
from contract.keys import Keys
from tests.integration.in_process import run_here
from tests.integration.servers import TroubledServer
from tests.integration.test_events_command import REPOSITORY, emotion_events, environment

# One of these: what a recording reads by is tested on both in test_event_reader.
both_servers = pytest.mark.both_servers

KEYS = Keys("emotion")
# Uneven on purpose: bursts, steady, a pause.
GAPS_S = (0.0, 0.0, 0.05, 0.0, 0.12, 0.03, 0.03, 0.03, 0.4, 0.0, 0.0, 0.01)


@contextlib.contextmanager
def recording(url: str, path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`emotion-events record` that already reads; killed if the test leaves it behind."""
    with subprocess.Popen(
        [sys.executable, "-m", "consumer", "record", str(path), "--redis", url, *arguments],
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


def make_event(seq: int, source: str) -> EmotionEvent:
    now_ns = time.time_ns()
    face = FaceEmotion(Box(1, 2, 31, 42), 0.99, "기쁨", {"기쁨": 0.9, "neutral": 0.1}, 0.8, 0.5)
    return EmotionEvent(source, "s1", seq, now_ns, seq, now_ns + 9, 640, 480, "m@1", (face,))


def publish(client: redis.Redis, record: Record) -> Record:
    client.xadd(KEYS.events, {b"m": record.encode()})
    return record


def publish_unevenly(client: redis.Redis) -> tuple[list[Record], list[int]]:
    """What was published and when, on the clock that a recording's header goes by."""
    records: list[Record] = []
    times_ns = []
    pause = threading.Event()
    for seq, gap_s in enumerate(GAPS_S):
        pause.wait(gap_s)
        times_ns.append(time.time_ns())
        record: Record
        if seq in (0, len(GAPS_S) - 1):
            state = "started" if seq == 0 else "ended"
            record = SourceRecord("lobby", "s1", state, time.time_ns(), 10)  # type: ignore[arg-type]
        else:
            record = make_event(seq, "lobby" if seq % 3 else "무대")
        records.append(publish(client, record))
    return records, times_ns


def wait_for_records(path: Path, count: int, wait_until: Callable[..., None]) -> None:
    """In the file that is being written."""

    def are_there() -> bool:
        try:
            return path.exists() and sum(1 for _ in SessionReader(path)) >= count
        except SessionError:  # half of its first line is there
            return False

    wait_until(are_there, what=f"{count} records in {path.name}")


def wait_until_it_reads(
    client: redis.Redis, process: subprocess.Popen[str], path: Path, wait_until: Callable[..., None]
) -> None:
    """A recorder of what comes from now on is ready when it has begun its file."""
    partial = path.with_name(path.name + ".partial")
    wait_until(lambda: partial.exists() or process.poll() is not None, what="a recording")
    assert process.poll() is None


@both_servers
@pytest.mark.parametrize("name", ["session.jsonl", "session.jsonl.gz"])
def test_what_came_is_played_again(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None], tmp_path: Path,
    name: str,
) -> None:  # fmt: skip
    path = tmp_path / name
    with recording(redis_url, path) as process:
        wait_until_it_reads(redis_client, process, path, wait_until)
        published, times_ns = publish_unevenly(redis_client)
        wait_for_records(tmp_path / f"{name}.partial", len(published), wait_until)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr is not None
        said = process.stderr.read()
    assert f"{path}: 10 events of 2 sources in " in said
    assert "Traceback" not in said

    session = SessionReader(path)
    recorded = list(session)
    assert [record for _, record in recorded] == published
    assert not session.is_cut
    # It cannot have come before it was sent: so the pauses are in it.
    offsets_ns = [at_ns - session.header.started_at_ns for at_ns in times_ns]
    for (at_s, _), sent_ns in zip(recorded, offsets_ns, strict=True):
        assert at_s * 1e9 >= sent_ns - 1_000_000

    # At every speed what was recorded comes out, on the recorded times: by a clock of the test's.
    clock = Clock()
    player = Player(session, stop=clock, clock=clock, speed=2.0)
    played = []
    while (record := player.next_record()) is not None:
        played.append((clock.now_s * 2.0, record))
    assert [record for _, record in played] == published
    assert [at_s for at_s, _ in played] == pytest.approx([at_s for at_s, _ in recorded])

    result = emotion_events("replay", str(path), "--format", "jsonl", "--records")
    assert (result.returncode, result.stderr) == (0, "")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        record.to_dict() for record in published
    ]


class Clock(threading.Event):
    """Moves by waiting alone."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def wait(self, timeout: float | None = None) -> bool:
        self.now_s += timeout or 0.0
        return False


def test_it_ends_by_itself(redis_url: str, redis_client: redis.Redis, tmp_path: Path) -> None:
    for seq in range(6):
        publish(redis_client, make_event(seq, "a" if seq % 2 else "b"))
    base = ("record", "--redis", redis_url, "--from", "beginning")
    ends = {
        "count": ("--count", "4"),
        "idle": ("--idle", "300ms", "--source", "a"),
        "for": ("--for", "1.5s"),
    }
    counts = {}
    for name, flags in ends.items():
        path = tmp_path / name
        result = emotion_events(*base, str(path), *flags)
        assert (result.returncode, result.stdout) == (0, ""), result.stderr
        session = SessionReader(path)
        counts[name] = len(list(session))
        assert not session.is_cut
        if name == "for":
            assert session.duration_s == 1.5
    assert counts == {"count": 4, "idle": 3, "for": 6}


def test_a_killed_recorder_leaves_what_it_had(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "killed.jsonl.gz"
    partial = tmp_path / "killed.jsonl.gz.partial"
    with recording(redis_url, path, "--from", "beginning") as process:
        publish(redis_client, make_event(0, "a"))
        publish(redis_client, make_event(1, "a"))
        wait_for_records(partial, 2, wait_until)
        process.kill()
        process.wait(20)
    assert not path.exists()
    result = emotion_events("replay", str(partial), "--speed", "max", "--format", "jsonl")
    assert result.returncode == 0
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()] == [0, 1]
    assert "its end is missing" in json.loads(result.stderr)["event"]


def test_a_server_that_goes_away_leaves_what_there_was(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None], tmp_path: Path
) -> None:
    # Taken away from this reader alone: its user may not read any more.
    redis_client.execute_command("ACL", "SETUSER", "rec", "on", ">pw", "~*", "&*", "+@all")
    url = redis_url.replace("redis://", "redis://rec:pw@")
    path = tmp_path / "a.jsonl"
    try:
        with recording(url, path, "--from", "beginning") as process:
            publish(redis_client, make_event(0, "a"))
            wait_for_records(tmp_path / "a.jsonl.partial", 1, wait_until)
            redis_client.execute_command("ACL", "SETUSER", "rec", "-@all")
            assert process.wait(20) != 0
            assert process.stderr is not None
            said = process.stderr.read()
    finally:
        redis_client.execute_command("ACL", "DELUSER", "rec")
    assert "a.jsonl.partial" in said
    assert "Traceback" not in said
    assert "pw" not in said
    assert len(list(SessionReader(tmp_path / "a.jsonl.partial"))) == 1


def test_a_recording_ends_when_it_should_though_the_server_is_away(
    wait_until: Callable[..., None], tmp_path: Path
) -> None:
    path, partial = tmp_path / "a.jsonl", tmp_path / "a.jsonl.partial"
    with (
        TroubledServer("valkey", tmp_path) as server,
        recording(
            server.url, path, "--from", "beginning", "--for", "6s", "--idle", "4s"
        ) as process,
    ):
        publish(server.client, make_event(0, "a"))
        wait_for_records(partial, 1, wait_until)
        server.stop()
        assert process.wait(20) == 0
    session = SessionReader(path)
    assert len(list(session)) == 1
    assert session.duration_s == 6.0  # --for: an outage is not silence


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_full_disk_is_named_and_what_fitted_can_be_played(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path, name: str
) -> None:
    events = [make_event(seq, "a") for seq in range(4000)]
    with redis_client.pipeline() as pipe:
        for event in events:
            pipe.xadd(KEYS.events, {b"m": event.encode()})
        pipe.execute()
    command = f"{sys.executable} -m consumer record {tmp_path / name} --redis {redis_url}"
    result = subprocess.run(  # no file may grow beyond 64 KiB
        ["bash", "-c", f"ulimit -f 64; exec {command} --from beginning --idle 1"],
        capture_output=True, text=True, timeout=60, cwd=REPOSITORY, env=environment(), check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert f"{name}: cannot be written: File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.partial"]
    kept = [record for _, record in SessionReader(tmp_path / f"{name}.partial")]
    assert 50 < len(kept) < len(events)
    assert kept == events[: len(kept)]


def test_on_a_terminal_it_says_how_it_goes_on(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None], tmp_path: Path
) -> None:
    for seq in range(3):
        publish(redis_client, make_event(seq, "a"))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "consumer", "record", str(tmp_path / "a"), "--redis", redis_url,
         "--from", "beginning"],
        stderr=theirs, cwd=REPOSITORY, env={**environment(), "TERM": "xterm", "COLUMNS": "100"},
    ) as process:  # fmt: skip
        os.close(theirs)
        said = b""
        try:
            while b"3 events of 1 source in" not in said:
                said += os.read(ours, 4096)
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(OSError):  # its end of the terminal is closed
                while True:
                    said += os.read(ours, 4096)
            assert process.wait(20) == 0
        finally:
            process.kill()
            os.close(ours)
    assert b"recording 3 events of 1 source in" in said
    assert b"Ctrl-C ends it" in said
    assert len(list(SessionReader(tmp_path / "a"))) == 3


def write_session(path: Path, times_s: list[float]) -> list[EmotionEvent]:
    events = [make_event(seq, "a") for seq in range(len(times_s))]
    with SessionWriter(path, started_at_ns=1) as session:
        for at_s, event in zip(times_s, events, strict=True):
            session.write(event, round(at_s * 1e9))
        session.finish(round(times_s[-1] * 1e9))
    return events


def test_replay_from_the_middle_at_another_speed_and_now(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    events = write_session(path, [0.0, 100.0, 100.2, 100.4])
    began_ns = time.time_ns()
    result = emotion_events(
        "replay", str(path), "--from", "1:40", "--speed", "4", "--now", "--format", "jsonl"
    )
    assert (result.returncode, result.stderr) == (0, "")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3]
    # The header says that the session began at 1 ns; so all is moved by what the clock says now.
    moved_ns = {line["captured_at_ns"] - events[line["seq"]].captured_at_ns for line in lines}
    assert len(moved_ns) == 1
    assert 0 <= moved_ns.pop() + 100_000_000_001 - began_ns < 60_000_000_000

    table = emotion_events("replay", str(path), "--speed", "max").stdout
    assert [line.split()[1:3] for line in table.splitlines()] == [
        ["source", "seq"], ["a", "0"], ["a", "1"], ["a", "2"], ["a", "3"]
    ]  # fmt: skip


def test_a_loop_goes_on_until_it_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_session(path, [0.0, 0.05, 0.1])
    with subprocess.Popen(
        [sys.executable, "-m", "consumer", "replay", str(path), "--loop", "--format", "jsonl"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY,
        env=environment(),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            lines = [json.loads(process.stdout.readline()) for _ in range(8)]
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()
    assert [line["session"] for line in lines] == ["s1"] * 3 + ["s1+2"] * 3 + ["s1+3"] * 2
    times_ns = [line["captured_at_ns"] for line in lines]
    assert times_ns == sorted(times_ns)


def test_replay_into_head(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_session(path, [seq / 1e6 for seq in range(3000)])
    command = f"{sys.executable} -m consumer replay {path} --speed max --format jsonl"
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -5"],
        capture_output=True, text=True, timeout=60, cwd=REPOSITORY, env=environment(), check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("record",), "the following arguments are required: FILE"),
        (("record", "{folder}/taken", "--redis", "{url}"), "taken: exists; another name, or --fo"),
        (("record", "{folder}/none/a", "--redis", "{url}"), "none/a: cannot be written: No such"),
        (("record", "{folder}/a", "--for", "soon"), "--for: expected seconds, as in 0.4"),
        (("record", "{folder}/a", "--from", "1:30"), "--from: expected now, beginning or a stream"),
        (("replay", "{folder}/none"), "{folder}/none: No such file or directory"),
        (("replay", "{folder}/taken"), "taken, line 1: expected a session made by"),
        (("replay", "{folder}/short", "--from", "2m"), "--from: the recording lasts 0.5 s, got 12"),
        (("replay", "{folder}/short", "--speed", "fast"), "--speed: expected a number from 0.01"),
        (
            ("replay", "{folder}/short", "--from", "beginning"),
            "--from: expected a time such as 1:30",
        ),
    ],
)
def test_what_cannot_be_used_is_named(
    arguments: tuple[str, ...], expected: str, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("not a session\n")
    write_session(tmp_path / "short", [0.5])
    given = [text.format(folder=tmp_path, url=redis_url) for text in arguments]
    result = run_here(main, *given)
    assert (result.returncode, result.stdout) == (2, "")
    assert expected.format(folder=tmp_path) in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["short", "taken"]


def test_without_a_server_no_file_is_begun(tmp_path: Path) -> None:
    result = emotion_events("record", str(tmp_path / "a"), "--redis", "redis://:pw@127.0.0.1:1")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "no Redis at redis://***@127.0.0.1:1" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_help_teaches() -> None:
    for command, words in (
        ("record", ("--for", "--force", "EMOTION_FOR", ".partial")),
        ("replay", ("--speed", "--loop", "--from", "--now")),
    ):
        result = emotion_events(command, "--help")
        assert result.returncode == 0
        for word in words:
            assert word in result.stdout
