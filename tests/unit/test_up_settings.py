"""The flags of `emotion-up` and what it makes of them for its parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from consumer.files import check_outputs, replacing
from contract.errors import UsageError
from contract.process.gpus import VISIBLE
from contract.process.settings import read_settings, usable_cores
from deploy.local.events_file import EventsFile
from deploy.local.run import _is_endless, _read_along
from deploy.local.settings import EMBEDDED, UpSettings
from producer.source import find_sources
from worker.classifier import DEFAULT_ARTIFACT


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EMOTION_REDIS", "EMOTION_PREFIX", "EMOTION_WORKERS"):
        monkeypatch.delenv(name, raising=False)


def read(*argv: str) -> UpSettings:
    return read_settings(UpSettings, "emotion-up", argv)


def after(arguments: Sequence[str], flag: str) -> str:
    return arguments[arguments.index(flag) + 1]


def test_a_source_is_all_one_needs() -> None:
    settings = read("clip.mp4")
    assert settings.source == ["clip.mp4"]
    assert settings.redis == EMBEDDED
    assert settings.prefix == "emotion"
    assert settings.workers == 1
    assert settings.realtime
    assert settings.events is None
    assert settings.annotate is None


def test_no_source_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((UsageError, SystemExit)) as caught:
        read()
    said = str(caught.value) + capsys.readouterr().err
    assert "source" in said.lower()


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (("a.mp4", "--workers", "0"), "--workers"),
        (("a.mp4", "--fps", "0"), "--fps"),
        (("a.mp4", "--fps", "nan"), "--fps"),
        (("a.mp4", "--fps", "inf"), "--fps"),
        (("a.mp4", "--at-once", "0"), "--at-once"),
        (("a.mp4", "--quality", "101"), "--quality"),
        (("a.mp4", "--mode", "sometimes"), "--mode"),
        (("a.mp4", "--prefix", "a b"), "--prefix"),
    ],
)
def test_a_flag_that_cannot_be_used_is_named(argv: tuple[str, ...], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        read(*argv)


def test_flags_reach_the_producer() -> None:
    settings = read(
        *("a.mp4", "b.mp4", "--fps", "12.5", "--max-width", "640", "--quality", "80", "--loop"),
        *("--no-realtime", "--mode", "lossless", "--source-id", "left", "--source-id", "right"),
        *("--prefix", "stage", "--at-once", "3"),
    )
    arguments = settings.producer_arguments(Path("/tmp/record"), 2)
    assert arguments[arguments.index("--") + 1 :] == ["a.mp4", "b.mp4"]
    assert after(arguments, "--fps") == "12.5"
    assert after(arguments, "--max-width") == "640"
    assert after(arguments, "--quality") == "80"
    assert after(arguments, "--mode") == "lossless"
    assert after(arguments, "--at-once") == "3"
    assert after(arguments, "--record") == "/tmp/record"
    assert after(arguments, "--prefix") == "stage"
    assert "--loop" in arguments
    assert "--no-realtime" in arguments
    ids = [arguments[i + 1] for i, word in enumerate(arguments) if word == "--source-id"]
    assert ids == ["left", "right"]


def test_little_waits_when_time_matters() -> None:
    arguments = read("a.mp4", "--workers", "2").producer_arguments(None, 2)
    assert after(arguments, "--max-backlog") == "80"  # 40 for each of two workers with a core
    assert "--max-backlog" not in read("a.mp4", "--no-realtime").producer_arguments(None, 2)


def test_flags_not_given_are_left_to_the_producer() -> None:
    arguments = read("a.mp4").producer_arguments(None, 2)
    for flag in ("--fps", "--max-width", "--quality", "--mode", "--record", "--loop", "--at-once"):
        assert flag not in arguments
    assert "--realtime" in arguments


@pytest.mark.parametrize(
    ("level", "parts"),
    [("debug", "debug"), ("info", "info"), ("warning", "info"), ("error", "info")],
)
def test_the_parts_always_say_that_they_are_ready(level: str, parts: str) -> None:
    settings = read("a.mp4", "--log-level", level)
    assert after(settings.worker_arguments(2), "--log-level") == parts
    assert after(settings.producer_arguments(None, 2), "--log-level") == parts


def test_a_variable_that_a_flag_overruled_does_not_reach_the_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (
        "EMOTION_LOOP",
        "emotion_realtime",
        "EMOTION_METRICS_PORT",
        "EMOTION_REDIS",
        "EMOTION_PARTITIONS",
    ):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("EMOTION_THRESHOLD", "0.7")  # a worker's own
    settings = read("a.mp4", "--no-loop", "--no-realtime", "--redis", "redis://host")
    environment = settings.part_environment("redis://host")
    assert environment["EMOTION_REDIS"] == "redis://host"
    assert environment["EMOTION_LOOP"] is None
    assert environment["emotion_realtime"] is None
    assert environment["EMOTION_METRICS_PORT"] is None
    assert environment["EMOTION_PARTITIONS"] is None
    assert "EMOTION_THRESHOLD" not in environment
    assert {"--no-loop", "--no-realtime"} <= set(settings.producer_arguments(None, 2))


def test_a_password_is_on_no_command_line() -> None:
    model = str(DEFAULT_ARTIFACT)
    settings = read("a.mp4", "--redis", "redis://:secret@host:6379", "--model", model)
    assert not any("secret" in word for word in settings.producer_arguments(None, 2))
    assert not any("secret" in word for word in settings.worker_arguments(2))
    assert "secret" not in repr(settings)
    assert after(settings.worker_arguments(2), "--model") == model


@pytest.mark.parametrize(
    ("cores", "workers", "threads"), [(8, 2, "4"), (2, 1, "2"), (2, 4, "1"), (7, 2, "3")]
)
def test_workers_share_the_cores(cores: int, workers: int, threads: str) -> None:
    arguments = read("a.mp4", "--workers", str(workers)).worker_arguments(cores)
    assert after(arguments, "--threads") == threads


def test_every_worker_has_a_gpu_of_its_own() -> None:
    settings = read("a.mp4", "--workers", "3")
    environments = [settings.worker_environment(number, ["4", "7"]) for number in (1, 2, 3)]
    assert [there[VISIBLE] for there in environments] == ["4", "7", "4"]
    assert settings.worker_environment(1, ["0"]) == {}


def test_how_the_networks_run_reaches_the_workers() -> None:
    flags = ("--engine", "openvino", "--precision", "int8", "--detect-every", "3")
    arguments = read("a.mp4", *flags).worker_arguments(2)
    assert tuple(after(arguments, flag) for flag in flags[::2]) == flags[1::2]


def test_there_is_a_core_to_use() -> None:
    assert usable_cores() >= 1


@pytest.mark.parametrize(
    ("name", "said"),
    [("folder", "is a folder"), ("missing/out.jsonl", "does not exist"), ("clip.mp4", "source")],
)
def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "clip.mp4").write_bytes(b"video")
    with pytest.raises(UsageError, match=said) as caught:
        check_outputs([("--events", tmp_path / name)], [str(tmp_path / "clip.mp4")])
    assert "--events" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_device_is_no_output() -> None:
    with pytest.raises(UsageError, match="regular file"):
        check_outputs([("--events", Path("/dev/null"))], ["0"])


def test_two_outputs_are_two_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="different files"):
        check_outputs([("--events", tmp_path / "a"), ("--annotate", tmp_path / "a")], ["0"])


def test_outputs_that_can_be_written_pass(tmp_path: Path) -> None:
    (tmp_path / "old.jsonl").write_text("old")
    outputs = [("--events", tmp_path / "old.jsonl"), ("--annotate", tmp_path / "new.mp4")]
    check_outputs(outputs, ["clip.mp4", "0"])
    assert [path.name for path in tmp_path.iterdir()] == ["old.jsonl"]


def test_the_events_of_a_run_that_failed_are_kept(tmp_path: Path) -> None:
    kept = tmp_path / "events.jsonl.partial"
    kept.write_text("hours of work")
    with EventsFile(tmp_path / "events.jsonl") as events_file:
        assert (tmp_path / "events.jsonl.partial-2").exists()
        events_file.finish()
    assert kept.read_text() == "hours of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "events.jsonl", "events.jsonl.partial"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://host:6379/1", "emotion-events --redis redis://host:6379/1 --prefix stage"),
        ("redis://:secret@host", "EMOTION_REDIS=... emotion-events --prefix stage"),
    ],
)
def test_how_to_read_along_holds_no_password(url: str, said: str) -> None:
    assert _read_along(url, "stage").endswith(f"read along:  {said}")


@pytest.mark.parametrize(
    ("argv", "loop", "endless"),
    [
        (["0", "rtsp://host/live"], False, True),
        (["a.mp4"], True, True),
        (["a.mp4"], False, False),
        (["0", "a.mp4"], False, False),
    ],
)
def test_what_only_ctrl_c_can_end(argv: list[str], loop: bool, endless: bool) -> None:
    assert _is_endless(find_sources(argv, []), loop=loop) is endless


def test_a_file_is_replaced_only_when_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as unfinished:
        unfinished.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    with replacing(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
