"""Settings that can hold a secret, from files."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from consumer.view.settings import ViewSettings
from contract.errors import UsageError
from contract.process.secret_file import MAX_BYTES
from contract.process.settings import RoleSettings, read_settings
from deploy.local.settings import UpSettings
from producer.settings import ProducerSettings

URL = "redis://u:geheim@h:1"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("EMOTION_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "redis"
    path.write_text(f"{URL}\n")
    return path


def redis_of(*argv: str) -> str:
    return read_settings(RoleSettings, "thing", argv).redis


def test_flag_before_environment_wherever_the_file_is_named(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert redis_of("--redis-file", str(file)) == URL
    monkeypatch.setenv("EMOTION_REDIS", "redis://environment")
    assert redis_of("--redis-file", str(file)) == URL
    monkeypatch.delenv("EMOTION_REDIS")
    monkeypatch.setenv("EMOTION_REDIS_FILE", str(file))
    assert redis_of() == URL
    assert redis_of("--redis", "redis://flag") == "redis://flag"


def test_what_a_file_holds_is_not_shown(file: Path) -> None:
    assert "geheim" not in repr(read_settings(RoleSettings, "thing", ["--redis-file", str(file)]))


def test_two_places_that_count_alike_are_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError) as caught:
        redis_of("--redis-file", str(file), "--redis", URL)
    assert str(caught.value).startswith(f"--redis-file {file}: expected it or --redis, got both;")
    monkeypatch.setenv("EMOTION_REDIS_FILE", str(file))
    monkeypatch.setenv("EMOTION_REDIS", URL)
    with pytest.raises(UsageError, match="expected it or EMOTION_REDIS, got both"):
        redis_of()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        (b"", "expected a line of text, got none"),
        (b"# only a comment\n\n", "expected a line of text, got none"),
        (b"redis://u:geheim@h\nredis://u:geheim@g\n", "expected one line, got 2"),
        (b"redis://u:geheim\xff@h", "expected UTF-8 text"),
        (b"geheim" * MAX_BYTES, f"expected at most {MAX_BYTES:,} bytes, got more"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_and_not_quoted(
    content: bytes | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "redis"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("EMOTION_REDIS_FILE", str(path))
    with pytest.raises(UsageError) as caught:
        redis_of()
    assert str(caught.value).startswith(f"EMOTION_REDIS_FILE {path}: {said}; for example ")
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_pipe_is_a_file(tmp_path: Path) -> None:
    """What a shell makes of `--redis-file <(pass show redis)`."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(URL,))
    writer.start()
    assert redis_of("--redis-file", str(path)) == URL
    writer.join()


def test_the_views_token_may_be_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("geheim-geheim-geheim\n")
    settings = read_settings(ViewSettings, "thing", ["--token-file", str(path)])
    assert settings.token == "geheim-geheim-geheim"
    assert "geheim" not in repr(settings)


def test_sources_are_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "cameras"
    path.write_text("# hall\nrtsp://me:geheim@hall/1\n\n  rtsp://me:geheim@yard/1, x  \r\n0\n")
    sources = ["rtsp://me:geheim@hall/1", "rtsp://me:geheim@yard/1, x", "0"]
    for cls in (ProducerSettings, UpSettings):
        settings = read_settings(cls, "thing", ["--source-file", str(path), "--source-id", "hall"])
        assert settings.source == sources
        assert "geheim" not in repr(settings)
        with pytest.raises(UsageError, match="got both"):
            read_settings(cls, "thing", ["--source-file", str(path), "clip.mp4"])
        with pytest.raises(UsageError, match="no source: expected"):
            read_settings(cls, "thing", [])


def test_sources_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_SOURCE", "rtsp://me:geheim@hall/1,clip.mp4")
    read = read_settings(ProducerSettings, "thing", ["--loop"])
    assert read.source == ["rtsp://me:geheim@hall/1", "clip.mp4"]
    assert read_settings(ProducerSettings, "thing", ["other.mp4"]).source == ["other.mp4"]


def test_emotion_up_puts_no_url_on_its_producers_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sources = ["-odd.mp4", "rtsp://me:geheim@hall/a", "영상.mp4"]
    up = read_settings(UpSettings, "thing", ["--", *sources])
    assert not any("geheim" in word for word in up.producer_arguments(None, 2))
    for name, value in up.producer_environment().items():
        monkeypatch.setenv(name, value)
    assert (
        read_settings(ProducerSettings, "thing", up.producer_arguments(None, 2)).source == sources
    )


def test_files_stay_on_the_command_line_which_has_room_for_thousands() -> None:
    up = read_settings(UpSettings, "thing", ["a.mp4", "b.mp4"])
    assert up.producer_environment() == {}
    assert up.producer_arguments(None, 2)[-3:] == ["--", "a.mp4", "b.mp4"]
