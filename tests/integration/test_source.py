"""Videos as they come: every frame, at its exact time, the right way up, or one clear line."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import structlog.testing

from contract.errors import SourceError
from producer.encode import Jpeg, encode_jpeg
from producer.heartbeat import Heartbeat
from producer.reader import CAPACITY, ReaderThread, open_in_time
from producer.source import find_sources
from producer.video import CapturedFrame, Image, MediaTimes, SourceLost, Video
from tests.integration.clips import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    corners,
    set_display_matrix,
    write_audio,
    write_video,
)

VARIABLE_MS = [0, 33, 40, 140, 141, 500, 533, 1700, 1733, 1766]


ANY_WIDTH = 10_000


def read(
    path: Path | str, on_damage: Callable[[], None] = lambda: pytest.fail("damage")
) -> tuple[Video, list[CapturedFrame]]:
    (source,) = find_sources([str(path)], ())
    video = source.open(on_damage=on_damage)
    try:
        return video, list(video.frames())
    finally:
        video.close()


def times_ms(frames: list[CapturedFrame]) -> list[float]:
    assert all(frame.pts_ns is not None for frame in frames)
    return [(frame.pts_ns or 0) / 1e6 for frame in frames]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4")],
)
def test_a_variable_frame_rate_keeps_its_exact_times(tmp_path: Path, name: str, codec: str) -> None:
    clip = write_video(tmp_path / name, VARIABLE_MS, codec=codec)
    before_ns = time.time_ns()
    _, frames = read(clip)
    assert times_ms(frames) == VARIABLE_MS
    assert all(before_ns <= frame.captured_at_ns <= time.time_ns() for frame in frames)
    assert frames[0].image(ANY_WIDTH).shape == (120, 160, 3)


def test_times_are_rounded_to_the_nanosecond_and_no_coarser(tmp_path: Path) -> None:
    thirds = Fraction(1, 3000)
    clip = write_video(tmp_path / "a.mp4", [0, 1, 2, 3], time_base=thirds)
    _, frames = read(clip)
    with av.open(str(clip)) as container:
        assert container.streams.video[0].time_base != Fraction(1, 1000)
        exact = [frame.pts * frame.time_base for frame in container.decode(video=0)]  # type: ignore[operator]
    assert [frame.pts_ns for frame in frames] == [round(second * 10**9) for second in exact]


def test_real_footage_is_read_to_its_last_frame(videos: Path) -> None:
    clip = videos / "head-pose-face-detection-female.mp4"
    video, frames = read(clip)
    with av.open(str(clip)) as container:
        expected = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert video.frames_expected == len(frames) == len(expected)
    assert np.array_equal(frames[-1].image(ANY_WIDTH), expected[-1])


def test_the_expected_number_of_frames_is_estimated_where_it_is_not_stored(videos: Path) -> None:
    video, frames = read(videos / "bird.mkv")
    assert video.frames_expected is not None
    assert abs(video.frames_expected - len(frames)) <= 2


@pytest.mark.parametrize("width", [16, 233, 320, 639])
def test_shrinking_while_converting_looks_like_shrinking_afterwards(
    videos: Path, width: int
) -> None:
    _, frames = read(videos / "book.mkv")
    for frame in frames[::40]:
        whole, small = (
            encode_jpeg(frame.image(limit), max_width=width, quality=100)
            for limit in (ANY_WIDTH, width)
        )
        assert (small.width, small.height) == (whole.width, whole.height)
        difference = np.abs(decoded(small).astype(int) - decoded(whole))
        assert difference.mean() < (3.0 if width < 100 else 1.5)  # of 255


def decoded(jpeg: Jpeg) -> Image:
    image = cv2.imdecode(np.frombuffer(jpeg.data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


@pytest.mark.parametrize(
    ("matrix", "clockwise_from_upper_left"),
    [
        ((1, 0, 0, 1), [RED, GREEN, WHITE, BLUE]),
        ((0, 1, -1, 0), [BLUE, RED, GREEN, WHITE]),  # a phone held upright: a turn clockwise
        ((-1, 0, 0, -1), [WHITE, BLUE, RED, GREEN]),
        ((0, -1, 1, 0), [GREEN, WHITE, BLUE, RED]),
        ((-1, 0, 0, 1), [GREEN, RED, BLUE, WHITE]),  # a front camera's mirror image
        ((1, 0, 0, -1), [BLUE, WHITE, GREEN, RED]),
    ],
)
def test_rotation_and_mirroring_are_applied(
    tmp_path: Path,
    matrix: tuple[int, int, int, int],
    clockwise_from_upper_left: list[tuple[int, int, int]],
) -> None:
    clip = write_video(tmp_path / "phone.mp4", [0, 33])
    set_display_matrix(clip, *matrix)
    _, frames = read(clip)
    image = frames[0].image(ANY_WIDTH)
    assert image.shape == ((120, 160, 3) if matrix[0] else (160, 120, 3))
    assert corners(image) == clockwise_from_upper_left
    assert image.flags.c_contiguous
    small = frames[0].image(90)
    assert small.shape == ((68, 90, 3) if matrix[0] else (120, 90, 3))
    assert corners(small) == clockwise_from_upper_left


def bad_sources(folder: Path) -> dict[str, tuple[Path | str, str]]:
    """What a user may name by mistake, and the words that must come back."""
    whole = write_video(folder / "whole.mp4", range(0, 330, 33)).read_bytes()
    files = {"empty.mp4": b"", "notes.mp4": b"no video\n" * 99, "art.txt": b"no video\n" * 99}
    files["headless.mp4"] = whole[: len(whole) // 3]  # its index, at the end, is gone
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "no videos").mkdir()
    write_audio(folder / "song.m4a")
    return {
        "missing": (folder / "nowhere.mp4", "no such file"),
        "empty": (folder / "empty.mp4", "an empty file"),
        "text": (folder / "notes.mp4", "not a video"),
        "text that FFmpeg would play": (folder / "art.txt", "not a video"),
        "audio": (folder / "song.m4a", "no video stream, only audio"),
        "cut short": (folder / "headless.mp4", "cut short"),
        "folder": (folder / "no videos", "a folder without video files"),
        "protocol": ("ftp://me:geheim@host/clip.mp4", "expected a file or one of rtsp://"),
        "camera": ("97", "no such camera"),
    }


def test_what_is_no_video_is_named_in_one_line(tmp_path: Path) -> None:
    for kind, (location, complaint) in bad_sources(tmp_path).items():
        with pytest.raises(SourceError) as caught:
            read(location)
        message = str(caught.value)
        assert complaint in message, kind
        assert str(location).rpartition("@")[2] in message, kind
        assert "\n" not in message, kind
        assert "geheim" not in message, kind


def test_a_name_that_looks_like_a_protocol_is_still_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "take:1.mp4", [0, 33])
    monkeypatch.chdir(tmp_path)
    assert len(read("take:1.mp4")[1]) == 2


def test_a_folder_is_all_its_videos(tmp_path: Path) -> None:
    write_video(tmp_path / "b.mp4", [0])
    write_video(tmp_path / "a.mkv", [0, 33])
    (tmp_path / "readme.txt").write_text("not one of them")
    found = find_sources([str(tmp_path)], ())
    assert [source.id for source in found] == ["a", "b"]
    for source in found:
        source.open().close()


def test_damage_in_the_middle_is_skipped_and_counted(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.mp4", range(0, 3300, 33))
    data = bytearray(clip.read_bytes())
    third = len(data) // 3
    data[third : third + 1500] = np.random.default_rng(5).bytes(1500)
    clip.write_bytes(data)
    damages: list[int] = []
    _, frames = read(clip, lambda: damages.append(1))
    assert damages
    assert 20 < len(frames) < 100
    assert times_ms(frames)[-1] == 3267  # the end is still there


def test_a_file_cut_short_gives_what_is_left(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.mkv", range(0, 3300, 33))
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    _, frames = read(clip, lambda: None)
    assert 5 < len(frames) < 100


def test_times_that_run_back_and_forth_are_put_right(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.avi", range(0, 990, 33), codec="libx264")
    _, frames = read(clip)  # AVI has no presentation times, and these have B-frames
    found_ms = times_ms(frames)
    assert len(found_ms) == 30
    assert found_ms == sorted(found_ms)
    assert len(set(found_ms)) >= 29  # one frame is needed to find it out
    assert found_ms[-1] - found_ms[0] == pytest.approx(29 * 33, abs=40)


def test_a_file_without_time_stamps_is_counted_by_its_rate(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.h264", range(0, 330, 33))
    _, frames = read(clip)
    steps = np.diff(times_ms(frames))
    assert len(frames) == 10
    assert np.allclose(steps, steps[0])


def test_a_stream_without_time_stamps_or_rate_has_no_media_time() -> None:
    assert MediaTimes(Fraction(1, 1000), None).next_ns(None, None) is None


def test_the_first_frame_of_a_stream_that_counts_from_zero_is_at_zero() -> None:
    times = MediaTimes(Fraction(1, 90_000), None, counts_from_zero=True)
    assert [times.next_ns(pts, pts) for pts in (None, 3000, None)] == [0, 33_333_333, None]


def test_a_repeated_file_goes_on_where_it_ended(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.mp4", [0, 30, 100])
    (source,) = find_sources([str(clip)], ())
    video = source.open(loop=True)
    frames = video.frames()
    found_ms = [(next(frames).pts_ns or 0) / 1e6 for _ in range(8)]
    assert found_ms == [0, 30, 100, 170, 200, 270, 340, 370]
    assert video.frames_expected is None
    video.close()


def test_reading_ahead_of_a_slow_publisher_is_bounded_and_loses_nothing(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.mp4", range(0, 990, 33))
    (source,) = find_sources([str(clip)], ())
    reader = ReaderThread(source.open, source.label)
    frames = list(reader.frames(Heartbeat(threading.Event())))
    assert times_ms(frames) == list(range(0, 990, 33))
    reader.close()


class Camera:
    """A live `Video` whose pictures come, and stop coming, on command."""

    is_endless = True
    duration_s = None
    frames_expected = None
    silence_limit_s = 0.2

    def __init__(self, count: int) -> None:
        self._count = count
        self.hang = threading.Event()
        self.closed = threading.Event()

    def frames(self) -> Iterator[CapturedFrame]:
        for number in range(self._count):
            yield CapturedFrame(number, None, lambda _: np.zeros((1, 1, 3), np.uint8))
        self.hang.wait()  # OpenCV's read() after some cameras come back

    def close(self) -> None:
        self.closed.set()


def test_a_live_source_gives_up_the_oldest_frames_and_counts_them(
    wait_until: Callable[..., None],
) -> None:
    camera, overruns = Camera(10), []
    reader = ReaderThread(lambda: camera, "camera", on_overrun=lambda: overruns.append(1))
    wait_until(lambda: len(overruns) == 10 - CAPACITY)
    frames = reader.frames(Heartbeat(threading.Event()))
    assert [next(frames).captured_at_ns for _ in range(CAPACITY)] == [6, 7, 8, 9]
    camera.hang.set()
    reader.close()
    assert camera.closed.wait(10)


def test_a_read_that_hangs_is_a_lost_source_and_its_thread_ends_when_it_can(
    wait_until: Callable[..., None],
) -> None:
    camera = Camera(1)
    reader = ReaderThread(lambda: camera, "camera 0")
    frames = reader.frames(Heartbeat(threading.Event()))
    next(frames)
    with pytest.raises(SourceLost, match="camera 0: no frame for"):
        next(frames)
    reader.close()
    assert not camera.closed.is_set()
    camera.hang.set()
    assert camera.closed.wait(10)
    wait_until(lambda: not any(t.name == "read camera 0" for t in threading.enumerate()))


def test_an_opening_that_hangs_at_the_start_is_given_up_or_stopped() -> None:
    stop, opens = threading.Event(), threading.Event()
    camera = Camera(0)

    def open_video() -> Video:
        opens.wait()
        return camera

    with pytest.raises(SourceError, match=r"camera 0: did not open within 0\.1 s"):
        open_in_time(open_video, "camera 0", stop, limit_s=0.1)
    threading.Timer(0.1, stop.set).start()
    assert open_in_time(open_video, "camera 0", stop) is None
    opens.set()
    assert open_in_time(open_video, "camera 0", threading.Event()) is camera


def test_an_opening_that_hangs_is_said_now_and_then() -> None:
    camera, stop, opens = Camera(0), threading.Event(), threading.Event()
    ticks_s = itertools.count(0, 4)

    def open_video() -> Video:
        opens.wait()
        return camera

    def clock() -> float:
        now_s = next(ticks_s)
        if now_s > 30:
            stop.set()
        return now_s

    with structlog.testing.capture_logs() as said:
        reader = ReaderThread(open_video, "camera 0", clock=clock)
        assert reader.video(Heartbeat(stop)) is None
    assert [(line["event"], line["waited_s"]) for line in said] == [
        ("still opening", 16),
        ("still opening", 32),
    ]
    reader.close()
    camera.hang.set()
    opens.set()
    assert camera.closed.wait(10)


def test_a_stop_is_noticed_while_a_read_hangs() -> None:
    camera, stop = Camera(0), threading.Event()
    camera.silence_limit_s = 60.0
    reader = ReaderThread(lambda: camera, "camera 0")
    threading.Timer(0.1, stop.set).start()
    started_s = time.monotonic()
    assert list(reader.frames(Heartbeat(stop))) == []
    assert time.monotonic() - started_s < camera.silence_limit_s / 2
    camera.hang.set()
    reader.close()
