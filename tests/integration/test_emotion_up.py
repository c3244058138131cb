"""`emotion-up`, the real thing: server, producer, workers and TensorFlow as real processes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from consumer.reader import EventReader
from contract.connect import connect
from contract.event import EmotionEvent, record_from_dict

REPOSITORY = Path(__file__).parents[2]
Wait = Callable[..., None]

SHORT_TIMES_MS = [0, 30, 100, 110, 150, 300, 320, 330, 400, 480, 500, 590]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """What the command takes for the system's temporary folder; short, for a socket's path."""
    folder = Path(tempfile.mkdtemp(prefix="up-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


class Up:
    """A running `emotion-up`; a context manager that kills what still runs."""

    def __init__(self, scratch: Path, *arguments: str | Path, stdout: int | None = None) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("EMOTION_")}
        self._files = [(scratch / name).open("w+") for name in ("stdout", "stderr")]
        self.temporary = scratch / "t"
        self.temporary.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy.local", *map(str, arguments)],
            stdout=self._files[0] if stdout is None else stdout,
            stderr=self._files[1],
            cwd=REPOSITORY,
            env={**environment, "TMPDIR": str(self.temporary), "COLUMNS": "100"},
        )
        self._family: dict[int, str] = {}

    def __enter__(self) -> Up:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()  # its supervisor ends the rest
            self.process.wait()
        if error is not None:
            print(self.stdout, self.stderr, sep="\n--- stderr:\n")
        for file in self._files:
            file.close()

    @property
    def stdout(self) -> str:
        return Path(self._files[0].name).read_text()

    @property
    def stderr(self) -> str:
        return Path(self._files[1].name).read_text()

    def family(self) -> dict[int, str]:
        """pid -> command line of everything it has started so far, gone or not."""
        rows = processes()
        known = {self.process.pid, *self._family}
        for _ in rows:  # as deep as the tree can be
            for pid, (parent, command) in rows.items():
                if parent in known or pid in self._family:
                    known.add(pid)
                    self._family[pid] = command  # each time: between fork and exec it is our own
        return self._family

    def pid_of(self, words: str) -> int | None:
        return next((pid for pid, command in self.family().items() if words in command), None)

    def has_seen_people(self) -> bool:
        assert self.process.poll() is None, self.stderr
        if not re.search(r"(happiness|neutral) \d+%", self.stdout):
            return False
        self.family()  # while it is there to be asked
        return True

    def has_left_nothing(self) -> bool:
        alive = self._family.keys() & processes().keys()
        return not alive and not list(self.temporary.iterdir())


def processes() -> dict[int, tuple[int, str]]:
    """pid -> (parent, command line) of all that runs; not of the dead nobody has buried yet."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = (line.split(None, 3) for line in listing.splitlines())
    return {
        int(row[0]): (int(row[1]), row[3]) for row in rows if len(row) == 4 and row[2][0] != "Z"
    }


def events_in(path: Path) -> list[EmotionEvent]:
    records = [record_from_dict(json.loads(line)) for line in path.read_text().splitlines()]
    assert all(isinstance(record, EmotionEvent) for record in records)
    return [record for record in records if isinstance(record, EmotionEvent)]


def decode(path: Path) -> tuple[list[float], list[NDArray[np.uint8]]]:
    """Times in seconds and (H, W, 3) uint8 BGR pictures of all frames."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [frame.time for frame in frames], [f.to_ndarray(format="bgr24") for f in frames]


@pytest.fixture
def short_clip(demo_clip: Path, tmp_path: Path) -> Path:
    """A few frames of the shipped clip at an irregular rate and of odd size."""
    path = tmp_path / "short.mkv"
    with av.open(str(demo_clip)) as source, av.open(str(path), "w") as sink:
        stream = sink.add_stream("mjpeg", options={"q:v": "3"})
        stream.width, stream.height, stream.pix_fmt = 321, 241, "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        pictures = [frame.to_ndarray(format="bgr24") for frame in source.decode(video=0)]
        for number, at_ms in enumerate(SHORT_TIMES_MS):
            cut = np.ascontiguousarray(pictures[60 + number][:241, :321])
            frame = VideoFrame.from_ndarray(cut, format="bgr24")
            frame.pts, frame.time_base = at_ms, Fraction(1, 1000)
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
    return path


def test_one_event_for_every_frame_of_two_files_beside_a_bad_one(
    scratch: Path, tmp_path: Path, half_clip: Path, short_clip: Path
) -> None:
    clips = {"people": half_clip, "short": short_clip}
    events_file = tmp_path / "events.jsonl"
    events_file.write_text("an earlier run\n")
    arguments = [half_clip, tmp_path / "missing.mp4", short_clip, "--no-realtime"]
    arguments += ["--workers", "2", "--events", events_file, "--annotate", tmp_path / "seen.mp4"]
    with Up(scratch, *map(str, arguments)) as up:
        code = up.process.wait(150)
        assert code == 2, up.stderr
        assert up.stderr.count("missing.mp4: no such file") == 1
        assert up.has_left_nothing()
        stdout = up.stdout

    events = events_in(events_file)
    pictures = {source: decode(clip) for source, clip in clips.items()}
    frames = {source: len(times) for source, (times, _) in pictures.items()}
    assert Counter(event.source for event in events) == frames
    assert len({event.id for event in events}) == len(events)
    by_frame = {(event.source, event.seq): event for event in events}
    assert sum(len(event.faces) for event in events) > 100

    total = sum(frames.values())
    assert f"{total} frames published = {total} events + 0 dead + 0 dropped + 0 waiting" in stdout
    assert re.search(rf"^  all +{total} +{total} ", stdout, re.MULTILINE)
    assert re.search(r"happiness +\S+ +\d+\.\d%", stdout)

    for source, (times, plain) in pictures.items():
        seen_times, seen = decode(tmp_path / f"seen-{source}.mp4")
        assert seen_times == pytest.approx(times, abs=0.002)
        assert seen[0].shape[0] % 2 == seen[0].shape[1] % 2 == 0
        for seq, picture in enumerate(plain):
            assert drawn(picture, seen[seq]) == bool(by_frame[source, seq].faces), (source, seq)
    assert not list(tmp_path.glob(".*")), "the recordings are gone"


def drawn(plain: NDArray[np.uint8], seen: NDArray[np.uint8]) -> bool:
    """Whether somebody drew on the picture: compression alone changes no pixel by that much."""
    height, width = plain.shape[:2]
    difference = np.abs(seen[:height, :width].astype(int) - plain.astype(int)).max(axis=2)
    return bool((difference > 90).sum() > 50)


def test_ctrl_c_ends_it_within_three_seconds(
    scratch: Path, tmp_path: Path, demo_clip: Path, wait_until: Wait
) -> None:
    events_file = tmp_path / "events.jsonl"
    with Up(scratch, demo_clip, "--loop", "--events", events_file, "--log-level", "error") as up:
        wait_until(up.has_seen_people, 90)
        # Others can read along meanwhile, on a socket and on no port.
        match = re.search(r"emotion-events --redis (unix://\S+)", up.stdout)
        assert match, up.stdout
        with connect(match[1]) as client:
            assert client.config_get("port")["port"] == "0"
        with EventReader(match[1], start="beginning") as reader:
            assert next(iter(reader)).source == "people"

        started_s = time.monotonic()
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(10) == 0, up.stderr  # nothing else would ever have ended it
        assert time.monotonic() - started_s < 3
        assert up.has_left_nothing()
        assert up.stderr == ""
        stdout = up.stdout
    events = events_in(events_file)
    assert f"{len(events)} events in {events_file}" in stdout
    assert re.search(rf"^  people +\d+ +{len(events)} ", stdout, re.MULTILINE)
    assert " 0 dead" in stdout


def test_ctrl_c_while_the_model_loads(
    scratch: Path, tmp_path: Path, demo_clip: Path, wait_until: Wait
) -> None:
    old = tmp_path / "events.jsonl"
    old.write_text("an earlier run\n")
    with Up(scratch, demo_clip, "--events", old, "--workers", "2") as up:
        wait_until(lambda: up.pid_of("-m worker") is not None, 20)
        started_s = time.monotonic()
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(10) == 130, up.stderr
        assert time.monotonic() - started_s < 3
        assert up.has_left_nothing()
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_text() == "an earlier run\n"


def test_nothing_survives_a_sigkill(scratch: Path, demo_clip: Path, wait_until: Wait) -> None:
    with Up(scratch, demo_clip, "--workers", "2") as up:
        wait_until(lambda: up.pid_of("-m worker") is not None, 20)
        assert len(up.family()) >= 3
        up.process.kill()
        up.process.wait()
        wait_until(up.has_left_nothing, 5)


def test_a_worker_that_dies_ends_it_by_name(
    scratch: Path, tmp_path: Path, demo_clip: Path, redis_url: str, wait_until: Wait
) -> None:
    old = tmp_path / "events.jsonl"
    old.write_text("an earlier run\n")
    with Up(scratch, demo_clip, "--loop", "--redis", redis_url, "--events", old) as up:
        assert not list(up.temporary.glob("*/valkey.sock"))
        wait_until(up.has_seen_people, 90)
        worker = up.pid_of("-m worker")
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        assert up.process.wait(10) == 1
        assert "emotion-up: worker was killed by SIGKILL" in up.stderr
        assert up.has_left_nothing()
    assert old.read_text() == "an earlier run\n"
    assert len(events_in(tmp_path / "events.jsonl.partial")) > 0
    with connect(redis_url) as client:
        assert client.ping()  # the user's own server is none of our parts


def test_a_model_that_is_none_is_the_workers_to_say(
    scratch: Path, tmp_path: Path, demo_clip: Path
) -> None:
    with Up(scratch, demo_clip, "--model", tmp_path / "no.keras") as up:
        assert up.process.wait(30) == 2
        assert "no.keras: no such model file" in up.stderr
        assert up.stderr.count("no.keras") == 1
        assert up.has_left_nothing()


def test_nobody_reads_what_it_says(scratch: Path, tmp_path: Path, short_clip: Path) -> None:
    events_file = tmp_path / "events.jsonl"
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with Up(scratch, short_clip, "--events", events_file, stdout=writing) as up:
            assert up.process.wait(90) == 0
            assert up.stderr == ""
    finally:
        os.close(writing)
    assert len(events_in(events_file)) == len(SHORT_TIMES_MS)


def test_no_source_to_play_ends_it_before_the_model_is_loaded(
    scratch: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    started_s = time.monotonic()
    with Up(scratch, tmp_path / "missing.mp4", tmp_path / "text.mp4") as up:
        assert up.process.wait(30) == 2
        assert time.monotonic() - started_s < 8
        assert "missing.mp4" in up.stderr
        assert "text.mp4" in up.stderr
        assert up.has_left_nothing()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--redis", "redis://127.0.0.1:1"], 1, "no Redis at redis://127.0.0.1:1"),
        (["--events", "/no/such/folder/out.jsonl"], 2, "/no/such/folder does not exist"),
        (["--annotate", "/tmp"], 2, "--annotate /tmp"),
        (["--source-id", "a", "--source-id", "b"], 2, "--source-id"),
    ],
)
def test_what_cannot_work_is_one_line_before_anything_starts(
    scratch: Path, demo_clip: Path, arguments: list[str], code: int, said: str
) -> None:
    with Up(scratch, demo_clip, *arguments) as up:
        assert up.process.wait(20) == code
        assert said in up.stderr
        assert len(up.stderr.splitlines()) == 1
        assert up.stdout == ""
        assert up.has_left_nothing()


def test_workers_that_do_not_get_ready_end_it(demo_clip: Path) -> None:
    impatient = "import sys; from deploy.local import cli, watch; watch.LOADING_LIMIT_S = 0.2; "
    ended = subprocess.run(
        [sys.executable, "-c", impatient + "sys.exit(cli.main(sys.argv[1:]))", str(demo_clip)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    said = r"emotion-up: 0 of 1 workers are ready after \d+ s\n"
    assert re.fullmatch(said, ended.stderr)
