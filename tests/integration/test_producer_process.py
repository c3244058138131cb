"""`python -m producer` on a real server, as a user runs it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import redis
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from contract.event import SourceRecord, decode_record
from contract.frame import FrameMessage
from contract.keys import Keys
from contract.snapshot import read_snapshot
from producer.encode import encode_jpeg
from producer.metrics import ProducerMetrics
from tests.conftest import optional_tool
from tests.integration.clips import quarters, write_video
from tests.integration.processes import REPOSITORY, RoleProcess, run_role

KEYS = Keys()
NOWHERE = "redis://127.0.0.1:1"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twenty frames, 0.76 s."""
    return write_video(tmp_path / "clip.mp4", range(0, 800, 40))


def frames(client: redis.Redis, source: str | None = None) -> list[FrameMessage]:
    entries: Any = client.xrange(KEYS.frames)
    found = [FrameMessage.decode(entry) for _, entry in entries]
    return [frame for frame in found if source in (None, frame.source)]


def records(client: redis.Redis, source: str) -> list[tuple[str, int | None]]:
    entries: Any = client.xrange(KEYS.events)
    found = [decode_record(entry) for _, entry in entries]
    return [
        (record.state, record.frames)
        for record in found
        if isinstance(record, SourceRecord) and record.source == source
    ]


def parsed(text: str) -> dict[tuple[str, ...], float]:
    """(name, label values by label name…) -> value, by Prometheus's own parser."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_bad_sources_are_named_and_the_good_ones_are_all_there(
    redis_url: str, redis_client: redis.Redis, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty.mp4").touch()
    code, stderr = run_role(
        "producer",
        [
            "--redis", redis_url, "--no-realtime",
            str(tmp_path / "nowhere.mp4"), str(clip), str(tmp_path / "empty.mp4"), str(clip),
        ],
    )  # fmt: skip
    assert code == 2
    complaints = [line for line in stderr.splitlines() if line.startswith("emotion-producer:")]
    assert complaints == [
        f"emotion-producer: {tmp_path}/nowhere.mp4: no such file",
        f"emotion-producer: {tmp_path}/empty.mp4: an empty file",
    ]
    for source in ("clip", "clip-2"):
        found = frames(redis_client, source)
        assert [frame.seq for frame in found] == list(range(20))
        assert [frame.pts_ns for frame in found] == [40_000_000 * n for n in range(20)]
        assert records(redis_client, source) == [("started", 20), ("ended", 20)]
    assert read_snapshot(redis_client, KEYS).unaccounted == 0


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["nowhere.mp4", "--redis", NOWHERE], 2, "nowhere.mp4: no such file"),
        (["{clip}", "--redis", NOWHERE], 1, f"no Redis at {NOWHERE}"),
        (
            ["{clip}", "--source-id", "a", "--source-id", "b"],
            2,
            "at most one per source (1), got 2",
        ),
        (["{clip}", "--quality", "101"], 2, "--quality"),
        (["{clip}", "--fps", "0"], 2, "--fps"),
        (["{clip}", "--fps", "nan"], 2, "--fps"),
        (["{clip}", "--mode", "live", "--max-age", "inf"], 2, "--max-age"),
        (["{clip}", "--mode", "live", "--max-age", "1e10"], 2, "--max-age"),
        (["{clip}", "--redis-timeout", "inf"], 2, "--redis-timeout"),
        (["{clip}", "--full-timeout", "0"], 2, "--full-timeout"),
        (["{clip}", "--reconnect-max", "nan"], 2, "--reconnect-max"),
        (["{clip}", "--at-once", "0"], 2, "--at-once"),
        (["rtsp://u:geheim@[::1/live"], 2, "rtsp://***@[::1/live: expected a URL"),
        (["{clip}", "--mode", "lossless", "--max-age", "1"], 2, "choose one"),
    ],
)
def test_what_cannot_work_ends_at_once_with_one_line(
    clip: Path, arguments: list[str], code: int, complaint: str
) -> None:
    ended, stderr = run_role("producer", [each.format(clip=clip) for each in arguments])
    assert ended == code
    assert complaint in stderr
    assert stderr.startswith("emotion-producer: ")
    assert stderr.count("\n") == 1


def test_sampling_size_and_quality(redis_url: str, redis_client: redis.Redis, clip: Path) -> None:
    with RoleProcess(
        "producer", str(clip), "--redis", redis_url, "--no-realtime", "--fps", "5",
        "--max-width", "64", "--source-id", "stage", "--mode", "live", "--max-age", "2.5",
    ) as producer:  # fmt: skip
        assert producer.wait() == 0
    found = frames(redis_client, "stage")
    assert [frame.pts_ns for frame in found] == [0, 200_000_000, 400_000_000, 600_000_000]
    assert {(frame.width, frame.height, frame.max_age_ns) for frame in found} == {
        (64, 48, 2_500_000_000)
    }
    assert records(redis_client, "stage") == [("started", 4), ("ended", 4)]


def test_a_folder_plays_a_few_files_at_a_time(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(40):
        write_video(folder / f"{number:02}.mp4", [0, 40])
    (folder / "07.mp4").write_text("no video")

    done = subprocess.run(
        [
            "sh", "-c", 'ulimit -n 40; exec "$@"', "sh", sys.executable, "-m", "producer",
            str(folder), "--redis", redis_url, "--no-realtime", "--at-once", "2",
        ],
        capture_output=True, text=True, cwd=REPOSITORY, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    complaints = [line for line in done.stderr.splitlines() if line.startswith("emotion-producer:")]
    assert complaints == [f"emotion-producer: {folder}/07.mp4: not a video, or cut short"]
    at_once, order = set(), []
    entries: Any = redis_client.xrange(KEYS.events)
    for record in (decode_record(entry) for _, entry in entries):
        assert isinstance(record, SourceRecord)
        if record.state == "started":
            at_once.add(record.source)
            order.append(record.source)
        else:
            assert record.frames == 2
            at_once.remove(record.source)
        assert len(at_once) <= 2
    assert sorted(order) == [f"{number:02}" for number in range(40) if number != 7]
    assert len(frames(redis_client)) == 78


def test_what_waits_for_its_turn_is_not_up_and_never_starts_after_a_signal(
    redis_url: str, redis_client: redis.Redis, clip: Path, tmp_path: Path
) -> None:
    slow = write_video(tmp_path / "slow.mkv", [0, 40, 50_000])
    with RoleProcess(
        "producer", str(slow), str(clip), "--redis", redis_url, "--at-once", "1",
        "--metrics-port", "0",
    ) as producer:  # fmt: skip
        url = producer.log("serving metrics")["url"]
        producer.log("session open")
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as reply:
            samples = parsed(reply.read().decode())
        assert samples["emotion_source_up", "slow"] == 1
        assert samples["emotion_source_up", "clip"] == 0
        producer.send(signal.SIGTERM)
        assert producer.wait(5) == 0
    assert records(redis_client, "clip") == []


def test_files_in_a_loop_do_not_wait_for_each_other(
    redis_url: str, redis_client: redis.Redis, clip: Path, wait_until: Callable[..., None]
) -> None:
    with RoleProcess(
        "producer", str(clip), str(clip), "--redis", redis_url, "--at-once", "1", "--loop"
    ) as producer:
        wait_until(lambda: {frame.source for frame in frames(redis_client)} == {"clip", "clip-2"})
        producer.send(signal.SIGTERM)
        assert producer.wait(5) == 0


def test_a_pipe_is_read_from_its_first_byte(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    clip = write_video(tmp_path / "clip.mkv", range(0, 400, 40))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with RoleProcess("producer", str(pipe), "--redis", redis_url, "--no-realtime") as producer:
        pipe.write_bytes(clip.read_bytes())
        assert producer.wait() == 0
    assert len(frames(redis_client, "pipe")) == 10


def test_damage_is_counted_while_the_source_runs(
    redis_url: str, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    clip = write_video(tmp_path / "clip.mp4", [*range(0, 3300, 33), 90_000])
    data = bytearray(clip.read_bytes())
    third = len(data) // 3
    data[third : third + 1500] = np.random.default_rng(5).bytes(1500)
    clip.write_bytes(data)
    with RoleProcess(
        "producer", str(clip), "--redis", redis_url, "--metrics-port", "0"
    ) as producer:
        url = producer.log("serving metrics")["url"]

        def damaged() -> float:
            with urllib.request.urlopen(f"{url}/metrics", timeout=5) as reply:
                return parsed(reply.read().decode())["emotion_packets_damaged_total", "clip"]

        wait_until(lambda: damaged() > 0)
        producer.send(signal.SIGTERM)
        assert producer.wait(5) == 0


def test_promtool_finds_no_fault_with_the_metrics() -> None:
    promtool = optional_tool("promtool (Debian package prometheus)", shutil.which("promtool"))
    registry = CollectorRegistry()
    ProducerMetrics(registry, ["cam", "공연"])
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=generate_latest(registry).decode(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_files_play_at_their_own_speed(
    redis_url: str, redis_client: redis.Redis, clip: Path
) -> None:
    with RoleProcess("producer", str(clip), "--redis", redis_url) as producer:
        assert producer.wait() == 0
    found = frames(redis_client)
    drift_s = [
        (frame.captured_at_ns - found[0].captured_at_ns - (frame.pts_ns or 0)) / 1e9
        for frame in found
    ]
    assert min(drift_s) > -0.05
    assert np.median(drift_s) < 0.1


def test_a_loop_goes_on_in_one_session_until_sigterm(
    redis_url: str, redis_client: redis.Redis, clip: Path, wait_until: Callable[..., None]
) -> None:
    with RoleProcess(
        "producer", str(clip), "--redis", redis_url, "--loop", "--no-realtime",
        "--max-backlog", "100000",
    ) as producer:  # fmt: skip
        wait_until(lambda: redis_client.xlen(KEYS.frames) > 60)
        producer.send(signal.SIGTERM)
        assert producer.wait(5) == 0
        assert not any("Traceback" in line for line in producer.lines)
    found = frames(redis_client)
    assert [frame.seq for frame in found] == list(range(len(found)))
    assert [frame.pts_ns for frame in found] == [40_000_000 * n for n in range(len(found))]
    assert len({frame.session for frame in found}) == 1
    assert records(redis_client, "clip") == [("started", None), ("ended", len(found))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("waiting_for", ["workers", "the next frame"])
def test_a_signal_ends_any_wait(
    redis_url: str,
    redis_client: redis.Redis,
    tmp_path: Path,
    wait_until: Callable[..., None],
    waiting_for: str,
    number: signal.Signals,
) -> None:
    slow = write_video(tmp_path / "slow.mkv", [0, 40, 80, 50_000])
    options = ["--no-realtime", "--max-backlog", "3"] if waiting_for == "workers" else []
    with RoleProcess("producer", str(slow), "--redis", redis_url, *options) as producer:
        wait_until(lambda: redis_client.xlen(KEYS.frames) == 3)
        producer.send(number)
        assert producer.wait(20) == 0  # the next frame comes after 50 s, a worker never
    assert records(redis_client, "slow")[1:] == [("ended", 3)]


def test_a_stream_that_nobody_empties_ends_the_session_in_the_end(
    redis_url: str, redis_client: redis.Redis, clip: Path
) -> None:
    with RoleProcess(
        "producer", str(clip), "--redis", redis_url, "--no-realtime",
        "--max-backlog", "4", "--full-timeout", "0.3",
    ) as producer:  # fmt: skip
        assert producer.wait() == 1
    (line,) = [line for line in producer.lines if not line.startswith("{")]
    assert line.startswith("emotion-producer: clip: the stream is full and no worker took a frame")
    assert records(redis_client, "clip") == [("started", 20), ("ended", 4)]
    assert len(frames(redis_client)) == 4  # for the workers that come after lunch


def test_a_second_producer_ends_the_first_with_exit_code_1(
    redis_url: str, clip: Path, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    other = write_video(tmp_path / "other.mp4", range(0, 2000, 40))
    with RoleProcess("producer", str(clip), str(other), "--redis", redis_url, "--loop") as first:
        first.log("session open")
        with RoleProcess("producer", str(clip), "--redis", redis_url, "--loop") as second:
            wait_until(lambda: any("another producer" in line for line in first.lines))
            assert sum("emotion-producer: clip: another" in line for line in first.lines) == 1
            first.send(signal.SIGTERM)  # its other source went on
            assert first.wait(5) == 1
            second.send(signal.SIGTERM)
            assert second.wait(5) == 0


def test_metrics_and_probes(
    redis_url: str, redis_client: redis.Redis, clip: Path, wait_until: Callable[..., None]
) -> None:
    with RoleProcess(
        "producer", str(clip), "--redis", redis_url, "--loop", "--fps", "12.5",
        "--metrics-port", "0",
    ) as producer:  # fmt: skip
        url = producer.log("serving metrics")["url"]

        def get(path: str) -> tuple[int, str]:
            try:
                with urllib.request.urlopen(url + path, timeout=5) as reply:
                    return reply.status, reply.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, ""

        wait_until(lambda: get("/readyz")[0] == 200)
        assert get("/livez")[0] == 200
        wait_until(lambda: redis_client.xlen(KEYS.frames) >= 5)
        text = get("/metrics")[1]
        samples = parsed(text)
        assert samples["emotion_source_up", "clip"] == 1
        assert samples["emotion_source_reconnects_total", "clip"] == 0
        assert samples["emotion_frames_published_total", "clip"] >= 5
        assert samples["emotion_frames_skipped_total", "clip"] >= 4
        for reason in ("encode", "overrun", "refused", "superseded"):
            assert samples["emotion_frames_dropped_total", reason, "clip"] == 0
        assert samples["emotion_frames_captured_total", "clip"] >= sum(
            samples[f"emotion_frames_{what}_total", "clip"] for what in ("published", "skipped")
        )
        for name in ("emotion_publish_seconds", "emotion_encode_seconds"):
            assert f"# TYPE {name} histogram" in text
            assert samples[f"{name}_count",] >= 5
        producer.send(signal.SIGTERM)
        assert producer.wait(5) == 0


def test_a_recording_holds_the_published_bytes(
    redis_url: str, redis_client: redis.Redis, clip: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "records" / "new"
    with RoleProcess(
        "producer", str(clip), "--redis", redis_url, "--no-realtime", "--record", str(folder)
    ) as producer:
        assert producer.wait() == 0
    found = frames(redis_client)
    with av.open(str(folder / f"clip-{found[0].session}.mkv")) as container:
        packets = [(bytes(p), p.pts) for p in container.demux(video=0) if p.size]
        assert container.streams.video[0].codec_context.name == "mjpeg"
    assert [data for data, _ in packets] == [frame.image for frame in found]
    assert [pts for _, pts in packets] == list(range(0, 800, 40))


def test_a_recording_that_cannot_be_written_names_the_flag(
    redis_url: str, redis_client: redis.Redis, clip: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    code, stderr = run_role(
        "producer", [str(clip), "--redis", redis_url, "--record", str(tmp_path / "file" / "x")]
    )
    assert code == 2
    assert "--record" in stderr
    assert "Traceback" not in stderr
    assert records(redis_client, "clip")[-1][0] == "ended"


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """A web server on a free port; gives its URL, with a password for the log to leak."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://user:geheim@127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class)
        pass


def test_a_file_on_the_web_plays_to_its_end(
    redis_url: str, redis_client: redis.Redis, clip: Path
) -> None:
    with (
        serving(partial(QuietFiles, directory=str(clip.parent))) as url,
        RoleProcess("producer", f"{url}/clip.mp4?key=geheim", "--redis", redis_url) as producer,
    ):
        assert producer.wait() == 0
        assert not any("geheim" in line for line in producer.lines)
        source = producer.log("session open")["source"]
    assert source.startswith("127.0.0.1-")
    assert source.endswith("-clip.mp4")
    assert len(frames(redis_client, source)) == 20
    assert records(redis_client, source) == [("started", 20), ("ended", 20)]


def test_a_page_that_is_not_there_is_a_bad_source(redis_url: str, clip: Path) -> None:
    with serving(partial(QuietFiles, directory=str(clip.parent))) as url:
        code, stderr = run_role("producer", [f"{url}/nowhere.mp4", "--redis", redis_url])
    assert code == 2
    (complaint,) = [line for line in stderr.splitlines() if line.startswith("emotion-producer:")]
    assert "/nowhere.mp4: Server returned 404 Not Found" in complaint
    assert "geheim" not in stderr


class WebCamera(QuietFiles):
    """A camera that sends JPEGs one after the other: each visitor gets eight, then nothing.

    `hangs` keeps the connection open; otherwise it ends, as when somebody pulls the plug.
    """

    hangs = threading.Event()
    enough = threading.Event()
    picture = encode_jpeg(quarters(), max_width=160, quality=80).data

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(self.picture)}\r\n\r\n"
        for _ in range(8):
            self.wfile.write(head.encode() + self.picture + b"\r\n")
        self.wfile.flush()
        if self.hangs.is_set():
            self.enough.wait(60)


def test_a_camera_that_goes_and_comes_begins_a_new_session(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    WebCamera.hangs.clear()
    before_ns = time.time_ns()
    with serving(WebCamera) as url, RoleProcess(
        "producer", f"{url}/live", "--redis", redis_url, "--source-id", "cam",
        "--reconnect-max", "0.2", "--metrics-port", "0",
    ) as producer:  # fmt: skip
        wait_until(lambda: len(records(redis_client, "cam")) >= 6)
        with urllib.request.urlopen(producer.log("serving metrics")["url"] + "/metrics") as reply:
            samples = parsed(reply.read().decode())
        assert samples["emotion_source_reconnects_total", "cam"] >= 2
        assert samples["emotion_source_losses_total", "closed", "cam"] >= 3
        assert samples["emotion_source_losses_total", "stalled", "cam"] == 0
        producer.send(signal.SIGTERM)
        assert producer.wait(5) == 0
        assert not any("geheim" in line for line in producer.lines)
    states = [state for state, _ in records(redis_client, "cam")]
    assert states[:6] == ["started", "offline"] * 3
    found = frames(redis_client, "cam")
    sessions = list(dict.fromkeys(frame.session for frame in found))
    assert len(sessions) >= 3
    offline = [count for state, count in records(redis_client, "cam") if state == "offline"]
    for session, count in zip(sessions, offline, strict=False):
        seqs = [frame.seq for frame in found if frame.session == session]
        assert seqs == list(range(count or 0))
    assert {frame.pts_ns for frame in found} == {None}  # FFmpeg's guess of 25 a second is no time
    captured = [frame.captured_at_ns for frame in found]
    assert captured == sorted(captured)
    assert before_ns < captured[0] < captured[-1] < time.time_ns()


def test_a_camera_that_hangs_is_noticed_and_does_not_hold_up_a_signal(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    WebCamera.hangs.set()
    WebCamera.enough.clear()
    try:
        with serving(WebCamera) as url, RoleProcess(
            "producer", f"{url}/live", "--redis", redis_url, "--source-id", "cam"
        ) as producer:  # fmt: skip
            wait_until(lambda: len(records(redis_client, "cam")) == 1)
            started_s = time.monotonic()
            wait_until(lambda: len(records(redis_client, "cam")) == 3)
            assert time.monotonic() - started_s < 6
            started_s = time.monotonic()
            producer.send(signal.SIGTERM)
            assert producer.wait(5) == 0
            assert time.monotonic() - started_s < 2
            WebCamera.enough.set()
    finally:
        WebCamera.enough.set()
    states = [state for state, _ in records(redis_client, "cam")]
    assert states == ["started", "offline", "started", "ended"]


def test_a_camera_that_is_not_there_yet_is_waited_for(
    redis_url: str, wait_until: Callable[..., None]
) -> None:
    with RoleProcess(
        "producer", "http://127.0.0.1:1/live", "--redis", redis_url, "--metrics-port", "0"
    ) as producer:
        url = producer.log("serving metrics")["url"]
        producer.log("source does not answer, trying again")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/readyz", timeout=5)
        caught.value.close()
        assert caught.value.code == 503
        os.kill(producer.pid, signal.SIGTERM)
        assert producer.wait(5) == 0
