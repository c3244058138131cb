"""What other languages go by: the example in JavaScript, run; the AsyncAPI document, validated.

Needs Node.js, npm and the registry that npm is set up for. Nothing is kept in the repository.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
import redis
import yaml

from contract.event import Box, EmotionEvent, FaceEmotion, Record, SourceRecord
from contract.keys import PARTITIONS, Keys, config_key
from contract.smoothed import Person, Signal, SmoothedEvent, Transition
from tests.conftest import REPOSITORY, optional_tool
from tests.unit.test_asyncapi import DOCUMENT, SCHEMAS, Msgpack
from worker.delivery import Settlement
from worker.frames import RedisFrameQueue

EXAMPLE = REPOSITORY / "deploy" / "examples" / "javascript"
SPECIFICATION = "@asyncapi/specs@6.11.1"  # the meta-schemas; Apache-2.0
# Nanoseconds that a double cannot hold.
AT_NS = 1_700_000_000_123_456_789
FACE = FaceEmotion(Box(1, 2, 31, 42), 0.99, "기쁨", {"기쁨": 0.934, "neutral": 0.066}, 0.8, 0.5)


def npm(folder: Path, *arguments: str) -> str:
    """Its output; a skip where the registry cannot be reached."""
    program = optional_tool("npm (Debian package npm)", shutil.which("npm"))
    done = subprocess.run(
        [program, *arguments, "--no-audit", "--no-fund", "--no-update-notifier",
         "--fetch-retries=1", "--fetch-timeout=20000"],
        cwd=folder, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    unreachable = ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ECONNRESET", "network")
    if done.returncode and any(word in done.stderr for word in unreachable):
        pytest.skip(f"needs npm's registry: {done.stderr.strip().splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, installed."""
    optional_tool("node (Debian package nodejs)", shutil.which("node"))
    folder = tmp_path_factory.mktemp("javascript")
    for name in ("package.json", "events.mjs"):
        shutil.copy(EXAMPLE / name, folder)
    npm(folder, "install", "--no-package-lock")
    return folder


class Program:
    """What the example prints, as it does."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Program]:
    with subprocess.Popen(
        [str(shutil.which("node")), "events.mjs", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        env={**os.environ, "TZ": "Asia/Seoul"},
    ) as process:  # fmt: skip
        program = Program(process)
        try:
            yield program
        finally:
            process.kill()
            program._reader.join(10)


def wait_until_it_reads(
    client: redis.Redis, program: Program, wait_until: Callable[..., None]
) -> None:
    def reads() -> bool:
        assert program.process.poll() is None, program.lines
        return any(other["cmd"] == "xread" for other in client.client_list())

    wait_until(reads, what="node that reads")


def moment(at_ns: int) -> str:
    seconds, ns = divmod(at_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns:09d}Z"


def events() -> list[Record]:
    found: list[Record] = [SourceRecord("거실", "s1", "started", AT_NS, 3)]
    for seq in range(3):
        at_ns = AT_NS + seq * 33_333_333
        faces = (FACE,) * seq
        found.append(
            EmotionEvent("거실", "s1", seq, at_ns, None, at_ns + 9, 640, 480, "m@1", faces)
        )
    return [*found, SourceRecord("거실", "s1", "ended", AT_NS + 100_000_000, 3)]


def signals() -> list[Signal]:
    person = Person(7, 1, FACE.box, True, "기쁨", FACE.scores, 0.8, 0.5)
    return [
        Transition("거실", "s1", "person_entered", AT_NS, 7, 1, "기쁨"),
        SmoothedEvent("거실", "s1", 0, AT_NS, 0, AT_NS + 9, 640, 480, (person,), None),
        SourceRecord("거실", "s1", "offline", AT_NS + 1, 1),
    ]


@pytest.mark.both_servers
def test_the_example_prints_who_feels_what(
    redis_url: str, redis_client: redis.Redis, example: Path, wait_until: Callable[..., None]
) -> None:
    redis_client.hset(config_key("emotion"), PARTITIONS, "2")
    one, two = Keys(partition=0), Keys(partition=1)
    for key in (one.events, one.smoothed):  # what was there before is not read
        redis_client.xadd(key, {b"m": SourceRecord("old", "s", "ended", 1).encode()})
    with running(example, "events", redis_url) as program:
        wait_until_it_reads(redis_client, program, wait_until)
        for record in events():
            redis_client.xadd(one.events, {b"m": record.encode()})
        wait_until(lambda: len(program.lines) >= 5, what=f"{program.lines}")
        redis_client.xadd(two.events, {b"m": events()[1].encode()})  # nobody in it: no line
        redis_client.xadd(two.events, {b"m": events()[4].encode()})
        wait_until(lambda: len(program.lines) >= 6, what=f"{program.lines}")
    first, last = moment(AT_NS), moment(AT_NS + 100_000_000)
    second, third = moment(AT_NS + 33_333_333), moment(AT_NS + 66_666_666)
    assert first == "2023-11-14T22:13:20.123456789Z"
    assert program.lines == [
        f"{first} 거실 started",
        f"{second} 거실 기쁨 93 %",
        f"{third} 거실 기쁨 93 %",
        f"{third} 거실 기쁨 93 %",
        f"{last} 거실 ended",
        f"{last} 거실 ended",
    ]

    with running(example, "smoothed", redis_url) as program:
        wait_until_it_reads(redis_client, program, wait_until)
        for signal in signals():
            redis_client.xadd(one.smoothed, {b"m": signal.encode()})
        wait_until(lambda: len(program.lines) >= 3, what=f"{program.lines}")
    assert program.lines == [
        f"{first} 거실 person 7 person_entered 기쁨",
        f"{first} 거실 person 7 기쁨 93 %",
        f"{moment(AT_NS + 1)} 거실 offline",
    ]


def test_the_document_is_asyncapi_3(tmp_path: Path) -> None:
    (packed,) = json.loads(npm(tmp_path, "pack", SPECIFICATION, "--json"))
    with tarfile.open(tmp_path / packed["filename"]) as archive:
        member = archive.extractfile("package/schemas/3.0.0-without-$id.json")
        assert member is not None
        meta_schema = json.load(member)
    validator = jsonschema.validators.validator_for(meta_schema)(meta_schema)
    validator.validate(DOCUMENT)
    for broken in ({"asyncapi": "2.6.0"}, {"channels": {"events": {"adress": "x"}}}):
        assert not validator.is_valid({**DOCUMENT, **broken})


@pytest.mark.both_servers
def test_a_dead_letter_has_the_fields_of_the_document(redis_client: redis.Redis) -> None:
    keys = Keys()
    for payload, keep_bytes in ((b"no frame", 10_000), (b"x" * 500, 400)):
        queue = RedisFrameQueue(redis_client, keys, "w", keep_dead_bytes=keep_bytes)
        redis_client.xadd(keys.frames, {b"m": payload})
        (delivery,) = queue.read(1, 0.01)
        queue.settle([Settlement(delivery, "dead", "malformed", "not a frame")])
    fields = SCHEMAS["DeadLetterFields"]
    validator = Msgpack(fields)
    seen = set()
    for _, entry in redis_client.xrange(keys.dead):
        letter = {name.decode(): value.decode() for name, value in entry.items() if name != b"m"}
        validator.validate(letter)
        assert not validator.is_valid({**letter, "at_ns": "soon"})
        assert (b"m" in entry) != ("left_out" in letter)
        seen |= set(letter)
        assert abs(int(letter["at_ns"]) - time.time_ns()) < 3600 * 10**9
    assert seen == set(fields["properties"])


def test_the_document_is_plain_yaml() -> None:
    """No tag and no type of one YAML library: what is read is what JSON can say."""
    text = (REPOSITORY / "contract" / "asyncapi.yaml").read_text("utf-8")
    assert json.loads(json.dumps(yaml.safe_load(text))) == DOCUMENT
