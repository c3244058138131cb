"""`emotion-worker dead` as operators run it: a process, a pipe, a terminal that is asked."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from contract import wire
from contract.frame import FrameMessage
from contract.keys import Keys
from contract.snapshot import read_snapshot
from tests.integration.in_process import run_here
from tests.unit.strategies import jpeg
from worker.dead.cli import main
from worker.delivery import Settlement
from worker.frames import RedisFrameQueue

# Few of these: what the command is made of is tested on both in test_dead_letters.
both_servers = pytest.mark.both_servers

REPOSITORY = Path(__file__).parents[2]
KEYS = Keys()
NO_SERVER = "redis://:secret@127.0.0.1:1"
PICTURE = jpeg(32, 24)
GARBAGE = b"\x00\x01garbage\xff" + bytes(range(256)) * 2
HOSTILE = "not a \x1b[31mJPEG\n"


def environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("EMOTION_")} | more


def dead(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker", "dead", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        cwd=REPOSITORY,
        env=environment(**variables),
        check=False,
    )


def bury(client: redis.Redis, payload: bytes, reason: str, detail: str = "", tries: int = 0) -> str:
    """Through a worker's queue; returns the letter's id."""
    queue = RedisFrameQueue(client, KEYS, "w", keep_dead_bytes=50_000)
    client.hincrby(KEYS.stats, "published", 1)
    client.xadd(KEYS.frames, {wire.FIELD: payload})
    (delivery,) = queue.read(1, 0.01)
    for _ in range(tries):
        queue.attempt(delivery)
    queue.settle([Settlement(delivery, "dead", reason, detail)])
    ((entry_id, _),) = client.xrevrange(KEYS.dead, count=1)
    return str(entry_id.decode())


def frame(source: str, seq: int) -> bytes:
    return FrameMessage(
        source, "s1", seq, time.time_ns(), None, 32, 24, PICTURE, max_age_ns=1
    ).encode()


@pytest.fixture
def ids(redis_client: redis.Redis) -> list[str]:
    return [
        bury(redis_client, frame("lobby", 7), "error", "RuntimeError: no", tries=3),
        bury(redis_client, GARBAGE, "malformed", HOSTILE),
        bury(redis_client, frame("카메라", 8), "image", "cut short"),
    ]


def test_a_list_for_people_newest_last(redis_url: str, ids: list[str]) -> None:
    result = dead("list", "--redis", redis_url)
    assert (result.returncode, result.stderr) == (0, "")
    header, *rows, _, total = result.stdout.splitlines()
    assert header.split() == ["id", "when", "frame", "reason", "attempts", "size", "detail"]
    assert [row.split()[0] for row in rows] == ids
    assert [row.split()[3:6] for row in rows] == [
        ["lobby/s1/7", "error", "3"], ["?", "malformed", "0"], ["카메라/s1/8", "image", "0"]
    ]  # fmt: skip
    assert "\x1b" not in result.stdout
    assert rows[1].endswith("not a �[31mJPEG�")
    assert total.startswith("3 dead letters, ")


def test_json_lines_and_filters(redis_url: str, ids: list[str]) -> None:
    def listed(*arguments: str) -> list[str]:
        result = dead("list", "--format", "json", *arguments, EMOTION_REDIS=redis_url)
        assert (result.returncode, result.stderr) == (0, "")
        return [json.loads(line)["id"] for line in result.stdout.splitlines()]

    assert listed() == ids
    assert listed("--reason", "malformed") == [ids[1]]
    assert listed("--source", "카메라") == [ids[2]]
    assert listed("--limit", "2") == ids[1:]
    assert listed("--limit", "1", "--reason", "error") == [ids[0]]
    result = dead("list", "--format", "json", "--limit", "1", "--redis", redis_url)
    letter = json.loads(result.stdout)
    assert abs(letter.pop("at_ns") - time.time_ns()) < 60e9
    assert re.fullmatch(r"\d+-\d+", letter.pop("frame"))
    assert letter == {
        "id": ids[2], "source": "카메라", "session": "s1", "seq": 8, "reason": "image",
        "attempts": 0, "size_bytes": len(frame("카메라", 8)), "bytes_kept": True,
        "detail": "cut short",
    }  # fmt: skip


def test_without_letters_there_is_a_friendly_line(redis_url: str, ids: list[str]) -> None:
    result = dead("list", "--redis", redis_url, "--prefix", "studio")
    assert result.stdout == f"No dead letters at {redis_url} with prefix studio.\n"
    result = dead("list", "--redis", redis_url, "--reason", "nothing")
    assert result.stdout == "No dead letters match.\n"


def test_show_tells_everything_and_saves_what_came(
    redis_url: str, ids: list[str], tmp_path: Path
) -> None:
    picture, raw = tmp_path / "face.jpg", tmp_path / "raw"
    result = dead(
        "show", ids[0], "--redis", redis_url, "--image", str(picture), "--save", str(raw)
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    rows = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    assert ["frame", "lobby/s1/7"] in rows
    assert ["attempts", "3 alone"] in rows
    assert ["detail", "RuntimeError: no"] in rows
    assert ["width", "32"] in rows
    assert ["image", f"{len(PICTURE):,} bytes"] in rows
    assert picture.read_bytes() == PICTURE
    assert FrameMessage.decode({wire.FIELD: raw.read_bytes()}).source == "lobby"


def test_show_previews_what_cannot_be_read_and_has_no_picture_of_it(
    redis_url: str, ids: list[str], tmp_path: Path
) -> None:
    result = dead("show", ids[1], "--redis", redis_url, "--image", str(tmp_path / "face.jpg"))
    assert result.returncode == 1
    assert "0000  00 01 67 61 72 62 61 67 65 ff" in result.stdout
    assert "..garbage." in result.stdout
    assert f"... {len(GARBAGE) - 256} bytes more" in result.stdout
    assert result.stderr == f"emotion-worker dead: {ids[1]}: it has no picture to save\n"
    assert not any(tmp_path.iterdir())
    result = dead("show", ids[1], "--redis", redis_url, "--save", str(tmp_path))
    assert (result.returncode, result.stderr) == (
        2, f"emotion-worker dead show: {tmp_path}: Is a directory\n"
    )  # fmt: skip


@both_servers
def test_requeued_letters_are_work_again(
    redis_url: str, redis_client: redis.Redis, ids: list[str]
) -> None:
    result = dead("requeue", ids[2], "1-0", ids[0], "--redis", redis_url)
    assert (result.returncode, result.stdout) == (1, "2 put back\n")
    assert result.stderr == "emotion-worker dead: 1-0: no such dead letter\n"
    assert dead("requeue", ids[0], "--redis", redis_url).returncode == 1  # not twice
    backlog = [FrameMessage.decode(entry) for _, entry in redis_client.xrange(KEYS.frames)]
    assert [(item.source, item.max_age_ns) for item in backlog] == [
        ("카메라", None), ("lobby", None)
    ]  # fmt: skip
    result = dead("requeue", "--all", "--reason", "malformed", "--redis", redis_url)
    assert (result.returncode, result.stdout) == (0, "1 put back\n")
    assert redis_client.xrevrange(KEYS.frames, count=1)[0][1] == {wire.FIELD: GARBAGE}
    snapshot = read_snapshot(redis_client, KEYS)
    assert (snapshot.published, snapshot.requeued, snapshot.dead, snapshot.backlog) == (6, 3, 3, 3)
    assert (snapshot.unaccounted, snapshot.dead_letters) == (0, 0)


def test_a_letter_whose_bytes_were_too_many_stays(
    redis_url: str, redis_client: redis.Redis
) -> None:
    name = bury(redis_client, bytes(60_000), "oversized")
    result = dead("requeue", name, "--redis", redis_url)
    assert (result.returncode, result.stdout) == (1, "0 put back\n")
    assert result.stderr == f"emotion-worker dead: {name}: it has no bytes to put back\n"
    assert "60,000 bytes, too many to be kept" in dead("show", name, "--redis", redis_url).stdout
    assert read_snapshot(redis_client, KEYS).dead_letters == 1


@both_servers
def test_dropped_letters_are_gone(
    redis_url: str, redis_client: redis.Redis, ids: list[str]
) -> None:
    result = dead("drop", ids[1], "--redis", redis_url)
    assert (result.returncode, result.stdout) == (0, "1 dropped\n")
    result = dead("drop", "--all", "--older-than", "1h", "--yes", "--redis", redis_url)
    assert (result.returncode, result.stdout) == (0, "0 dropped\n")
    result = dead("drop", "--all", "--redis", redis_url)
    assert result.returncode == 2
    assert result.stderr == "emotion-worker dead drop: --all: expected --yes, nobody is there to " \
        "be asked\n"  # fmt: skip
    assert read_snapshot(redis_client, KEYS).dead_letters == 2
    result = dead("drop", "--all", "--older-than", "0s", "--yes", "--redis", redis_url)
    assert (result.returncode, result.stdout) == (0, "2 dropped\n")
    snapshot = read_snapshot(redis_client, KEYS)
    assert (snapshot.dead, snapshot.dead_letters, snapshot.dead_letter_bytes) == (3, 0, 0)
    assert snapshot.unaccounted == 0


@pytest.mark.parametrize(("answer", "left"), [("y", 0), ("", 3), ("no", 3)])
def test_a_terminal_is_asked_before_all_are_dropped(
    redis_url: str,
    redis_client: redis.Redis,
    ids: list[str],
    answer: str,
    left: int,
) -> None:
    ours, its = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "worker", "dead", "drop", "--all", "--redis", redis_url],
            stdin=its,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            env=environment(),
        ) as process:
            os.write(ours, f"{answer}\n".encode())
            stdout, _ = process.communicate(timeout=30)
    finally:
        os.close(ours)
        os.close(its)
    assert b"Throw 3 dead letters away for good? [y/N] " in stdout
    assert process.returncode == 0
    assert read_snapshot(redis_client, KEYS).dead_letters == left


def test_a_pipe_that_ends_early_is_no_error(redis_url: str, ids: list[str]) -> None:
    command = f"{sys.executable} -m worker dead list --redis {redis_url} --format json"
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=REPOSITORY,
        env=environment(),
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("command", [("list",), ("show", "1-0"), ("requeue", "1-0"),
                                     ("drop", "--all", "--yes")])  # fmt: skip
def test_no_server_is_one_line(command: tuple[str, ...]) -> None:
    result = dead(*command, "--redis", NO_SERVER)
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1
    assert "no Redis at redis://***@127.0.0.1:1" in result.stderr


def test_an_unknown_letter_is_named(redis_url: str) -> None:
    for command in ("show", "requeue", "drop"):
        result = dead(command, "1-0", "--redis", redis_url)
        assert result.returncode == 1
        assert result.stderr == "emotion-worker dead: 1-0: no such dead letter\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "expected list, show, requeue or drop"),
        (("bury",), "expected list, show, requeue or drop, got 'bury'"),
        (("show", "yesterday"), "expected the id of a dead letter such as 1767225600000-0"),
        (("requeue",), "expected ids of dead letters, or --all"),
        (("drop", "1-0", "--all"), "expected ids of dead letters, or --all"),
        (("requeue", "1-0", "--reason", "x"), "--reason narrows --all"),
        (("drop", "1-0", "--older-than", "1d"), "--older-than narrows --all"),
        (("drop", "--all", "--older-than", "soon"), "--older-than: expected a number and s, m, h"),
        (("list", "--limit", "0"), "--limit: "),
    ],
)
def test_what_cannot_be_used_is_named(arguments: tuple[str, ...], text: str) -> None:
    result = run_here(main, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert text in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_help_teaches_without_the_networks() -> None:
    result = dead("--help")
    assert result.returncode == 0
    assert "emotion-worker dead drop --all --older-than 2d" in result.stdout
    for command in ("list", "show", "requeue", "drop"):
        result = dead(command, "--help")
        assert f"emotion-worker dead {command}" in result.stdout
        assert "Examples:" in result.stdout
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "worker", "dead", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=REPOSITORY,
        check=True,
    ).stderr
    assert "worker.dead.cli" in loaded
    assert not {"cv2", "numpy", "tensorflow", "keras"} & {
        line.rpartition("|")[2].strip() for line in loaded.splitlines()
    }
