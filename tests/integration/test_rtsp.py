"""RTSP cameras that die, stall and come back, by a real server (GStreamer's)."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
import urllib.request
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from contract.event import SourceRecord, decode_record
from contract.frame import FrameMessage
from contract.keys import Keys
from producer.media import MediaVideo
from producer.video import SourceLost
from tests.conftest import optional_tool
from tests.integration.processes import RoleProcess, run_role
from tests.integration.rtsp_camera import (
    FPS,
    KEY_FRAME_EVERY,
    PICTURES,
    PYTHON,
    RtspCamera,
    number_of,
    write_film,
)

KEYS = Keys()
TRYING = "source does not answer, trying again"
ROUNDS = 10
TROUBLES = ("killed", "stalled, went on", "killed", "stalled, then killed")

# What this system promises of a camera, not how fast this machine is.
NOTICED_WITHIN_S = 5.0
BACK_WITHIN_S = 3.0
CAPTURE_WITHIN_S = 1.0

NEEDED = """
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert all(map(Gst.ElementFactory.find, ["appsrc", "rtph264pay", "rtpbin"]))
"""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the cameras show; a skip where there is no RTSP server."""
    is_there = (
        PYTHON.exists()
        and not subprocess.run([PYTHON, "-c", NEEDED], capture_output=True).returncode
    )
    optional_tool("GStreamer's RTSP server, and Python's gi", str(PYTHON) if is_there else None)
    return write_film(tmp_path_factory.mktemp("film") / "film.h264")


@dataclass(frozen=True, slots=True)
class Published:
    """A frame and the wall clock of Redis when it took it."""

    frame: FrameMessage
    at_ns: int


@dataclass(frozen=True, slots=True)
class Round:
    """What was done to the camera, when that was noticed, and when it answered again; then, with
    frames flowing, the producer's threads and open files."""

    trouble: str
    noticed_s: float
    answered_at_ns: int
    threads: int
    files: int


def published(client: redis.Redis) -> list[Published]:
    entries: Any = client.xrange(KEYS.frames)
    return [
        Published(FrameMessage.decode(entry), int(entry_id.split(b"-")[0]) * 1_000_000)
        for entry_id, entry in entries
    ]


def newest(client: redis.Redis) -> FrameMessage | None:
    entries: Any = client.xrevrange(KEYS.frames, count=1)
    return FrameMessage.decode(entries[0][1]) if entries else None


def records(client: redis.Redis) -> list[SourceRecord]:
    entries: Any = client.xrange(KEYS.events)
    found = [decode_record(entry) for _, entry in entries]
    return [record for record in found if isinstance(record, SourceRecord)]


def sample(url: str, name: str, **labels: str) -> float:
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as reply:
        families = text_string_to_metric_families(reply.read().decode())
        (value,) = (
            each.value
            for family in families
            for each in family.samples
            if each.name == name and each.labels == {"source": "cam", **labels}
        )
    return float(value)


def held(pid: int) -> tuple[int, int]:
    """(threads, open files) of a process."""
    threads, files = (len(list(Path(f"/proc/{pid}/{kind}").iterdir())) for kind in ("task", "fd"))
    return threads, files


def lateness_s(frame: FrameMessage, started_at_ns: int) -> float:
    """From when the film showed this picture to its time of capture; -1 or more."""
    shown = (frame.captured_at_ns - started_at_ns) / 1e9 * FPS - number_of(frame.image)
    return ((shown + FPS) % PICTURES - FPS) / FPS


@pytest.mark.timeout(240)
def test_a_camera_that_dies_and_stalls_is_back_each_time(
    film: Path, redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    films: dict[str, int] = {}  # by session, when its film began
    rounds: list[Round] = []
    with RtspCamera(film) as camera, RoleProcess(
        "producer", camera.url, "--redis", redis_url, "--source-id", "cam",
        "--reconnect-max", "1", "--max-backlog", "100000", "--metrics-port", "0",
    ) as producer:  # fmt: skip
        url = producer.log("serving metrics")["url"]

        def flows() -> bool:
            frame = newest(redis_client)
            if frame is None or frame.session in films or frame.seq < 10:
                return False
            films[frame.session] = camera.started_at_ns
            return True

        wait_until(flows)
        for number in range(ROUNDS):
            trouble = TROUBLES[number % len(TROUBLES)]
            lost_at_ns = time.time_ns()
            if trouble == "killed":
                camera.kill()
            else:
                camera.freeze()
            wait_until(lambda n=number: len(records(redis_client)) == 2 * n + 2)
            noticed_s = (records(redis_client)[-1].at_ns - lost_at_ns) / 1e9
            assert sample(url, "emotion_source_up") == 0
            if trouble == "stalled, went on":
                camera.thaw()
            else:
                wait_for_tries(producer, 2, wait_until)  # so that the pauses grow
                camera.kill()
                camera.start()
            camera.answers()
            answered_at_ns = time.time_ns()
            wait_until(flows)
            rounds.append(Round(trouble, noticed_s, answered_at_ns, *held(producer.pid)))
        assert sample(url, "emotion_source_up") == 1
        assert sample(url, "emotion_source_reconnects_total") == ROUNDS
        stalls = sum(each.trouble != "killed" for each in rounds)
        assert sample(url, "emotion_source_losses_total", reason="stalled") == stalls
        assert sample(url, "emotion_source_losses_total", reason="closed") == ROUNDS - stalls
        producer.send(signal.SIGTERM)
        assert producer.wait(5) == 0

    sessions: dict[str, list[Published]] = {session: [] for session in films}
    for each in published(redis_client):
        sessions[each.frame.session].append(each)
    check_rounds(rounds, [session[0].at_ns for session in sessions.values()][1:])
    for session, frames in sessions.items():
        check_session(frames, films[session])
    captured = [each.frame.captured_at_ns for session in sessions.values() for each in session]
    assert captured == sorted(captured)
    assert [(each.session, each.state, each.frames) for each in records(redis_client)] == [
        record
        for number, (session, frames) in enumerate(sessions.items())
        for record in (
            (session, "started", None),
            (session, "ended" if number == ROUNDS else "offline", len(frames)),
        )
    ]


def wait_for_tries(producer: RoleProcess, count: int, wait_until: Callable[..., None]) -> None:
    """Until it has tried in vain so often from now on."""

    def tries() -> int:
        return sum(TRYING in line for line in list(producer.lines))

    before = tries()
    wait_until(lambda: tries() >= before + count)


def check_rounds(rounds: list[Round], back_at_ns: list[int]) -> None:
    """Print what happened and when, and hold it against what was promised."""
    row = "{:>5}  {:<19} {:>13}  {:>10}  {:>7}  {:>5}".format
    print("\n" + row("round", "trouble", "noticed after", "back after", "threads", "files"))
    for number, (each, at_ns) in enumerate(zip(rounds, back_at_ns, strict=True), 1):
        back_s = max(0.0, (at_ns - each.answered_at_ns) / 1e9)
        noticed = f"{each.noticed_s:.2f} s"
        print(row(number, each.trouble, noticed, f"{back_s:.2f} s", each.threads, each.files))
        assert each.noticed_s <= NOTICED_WITHIN_S
        assert back_s <= BACK_WITHIN_S
    # What every round left behind would show; what is not closed yet at one moment may be there.
    first, last = rounds[: len(TROUBLES)], rounds[-len(TROUBLES) :]
    assert min(each.threads for each in last) <= max(each.threads for each in first)
    assert min(each.files for each in last) <= max(each.files for each in first)


def check_session(sent: list[Published], started_at_ns: int) -> None:
    """That one session's frames are what they should be, where and when they should be."""
    frames = [each.frame for each in sent]
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert number_of(frames[0].image) % KEY_FRAME_EVERY == 0
    times_ns = [frame.pts_ns for frame in frames if frame.pts_ns is not None]
    assert times_ns == sorted(set(times_ns))
    assert len(times_ns) == len(frames)
    assert times_ns[0] < 1e9  # counted from the first packet
    played_s = (times_ns[-1] - times_ns[0]) / 1e9
    took_s = (frames[-1].captured_at_ns - frames[0].captured_at_ns) / 1e9
    assert played_s == pytest.approx(took_s, abs=0.5)
    late_s = [lateness_s(frame, started_at_ns) for frame in frames]
    assert -0.05 < min(late_s) <= max(late_s) < CAPTURE_WITHIN_S
    delay_s = [(each.at_ns - each.frame.captured_at_ns) / 1e9 for each in sent]
    assert -0.01 < min(delay_s) <= max(delay_s) < CAPTURE_WITHIN_S


def test_a_camera_that_is_frozen_from_the_start_is_noticed_and_waited_for(
    film: Path, redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    with RtspCamera(film) as camera:
        camera.freeze()
        with RoleProcess(
            "producer", camera.url, "--redis", redis_url, "--metrics-port", "0"
        ) as producer:
            producer.log("serving metrics")
            said = producer.log(TRYING, NOTICED_WITHIN_S)
            assert said["error"] == f"{camera.url}: no answer within the time allowed"
            camera.thaw()
            camera.answers()
            wait_until(lambda: newest(redis_client) is not None, BACK_WITHIN_S)
            producer.send(signal.SIGTERM)
            assert producer.wait(5) == 0


def test_a_camera_that_freezes_at_any_moment_of_opening_is_noticed_in_time(film: Path) -> None:
    def noticed_s(delay_s: float) -> float:
        frozen_at_s: list[float] = []

        def freeze() -> None:
            camera.freeze()
            frozen_at_s.append(time.monotonic())

        with RtspCamera(film) as camera:
            threading.Timer(delay_s, freeze).start()
            with pytest.raises(SourceLost) as caught:
                video = MediaVideo(camera.url, camera.url, live=True)
                with closing(video):
                    deque(video.frames(), maxlen=0)
        assert caught.value.reason == "stalled"
        return time.monotonic() - frozen_at_s[0]

    moments_s = (0.01, 0.03, 0.06, 0.09)  # opening takes about 0.1 s
    with ThreadPoolExecutor() as pool:
        assert max(pool.map(noticed_s, moments_s)) <= NOTICED_WITHIN_S


def test_a_stream_that_the_camera_ends_is_opened_again(
    film: Path, redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    with (
        RtspCamera(film) as camera,
        RoleProcess("producer", camera.url, "--redis", redis_url) as producer,
    ):
        wait_until(lambda: newest(redis_client) is not None)
        camera.end_stream()
        said = producer.log(TRYING)
        assert said["error"] == f"{camera.url}: the stream ended"
        wait_until(lambda: len(records(redis_client)) == 3)
        producer.send(signal.SIGTERM)
        assert producer.wait(5) == 0
    states = [record.state for record in records(redis_client)]
    assert states == ["started", "offline", "started", "ended"]


def test_video_that_gives_no_picture_does_not_hold_its_thread_for_ever(
    film: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[..., None],
) -> None:
    monkeypatch.setattr("producer.media.FRAME_TIMEOUT_S", 1.0)
    one_key = write_film(tmp_path / "film.h264", key_frame_every=PICTURES)
    with RtspCamera(one_key) as camera:
        wait_until(lambda: time.time_ns() > camera.started_at_ns + 300_000_000)  # it has passed
        video = MediaVideo(camera.url, camera.url, live=True)
        with pytest.raises(SourceLost, match="no picture in 1 s of video") as caught:
            next(video.frames())
        video.close()
    assert caught.value.reason == "stalled"


def test_a_wrong_password_ends_at_once_and_no_password_is_shown(
    film: Path, redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    with RtspCamera(film, login="viewer:geheim") as camera:
        wrong = f"rtsp://viewer:falsch@{camera.address}/live"
        code, stderr = run_role("producer", [wrong, "--redis", redis_url])
        complaints = [each for each in stderr.splitlines() if each.startswith("emotion-producer:")]
        assert code == 2
        assert complaints == [
            f"emotion-producer: rtsp://***@{camera.address}/live: user name or password is wrong "
            "or missing"
        ]
        assert "falsch" not in stderr
        right = f"rtsp://viewer:geheim@{camera.address}/live"
        with RoleProcess("producer", right, "--redis", redis_url) as producer:
            wait_until(lambda: newest(redis_client) is not None)
            producer.send(signal.SIGTERM)
            assert producer.wait(5) == 0
            assert not any("geheim" in line for line in producer.lines)


def test_a_stream_that_the_camera_does_not_know_may_come_yet(
    film: Path, redis_url: str, wait_until: Callable[..., None]
) -> None:
    with (
        RtspCamera(film) as camera,
        RoleProcess("producer", f"rtsp://{camera.address}/later", "--redis", redis_url) as producer,
    ):
        wait_for_tries(producer, 2, wait_until)
        said = producer.log(TRYING)
        assert said["error"].endswith("/later: Server returned 404 Not Found")
        producer.send(signal.SIGTERM)
        assert producer.wait(5) == 0
