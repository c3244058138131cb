"""Settings that cannot be used: all at once, each with both names and an example."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from consumer.view.settings import ViewSettings
from contract.errors import UsageError
from contract.process.settings import ProcessSettings, read_settings
from producer.settings import ProducerSettings
from worker.dead.settings import DropSettings
from worker.settings import WorkerSettings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("EMOTION_")]:
        monkeypatch.delenv(name)


def faults(cls: type[ProcessSettings], *argv: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        read_settings(cls, "thing", argv)
    return str(caught.value).split("\n  ")


def test_an_operator_sees_all_variables_that_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_THREADS", "many")
    monkeypatch.setenv("EMOTION_ENGINE", "cuda")
    monkeypatch.setenv("EMOTION_PREFIX", "a{b}")
    monkeypatch.setenv("EMOTION_REDIS", "http://u:geheim@h")
    monkeypatch.setenv("EMOTION_MODEL", "/models/mine.keras")
    monkeypatch.setenv("EMOTION_BATCHSIZE", "8")
    head, *lines = faults(WorkerSettings)
    assert head == "6 settings cannot be used:"
    said = {line.partition(": ")[0]: line.partition(": ")[2] for line in lines}
    assert said["EMOTION_REDIS"].startswith("http://***@h: expected redis://")
    assert said["EMOTION_REDIS"].endswith(
        "; for example EMOTION_REDIS=redis://127.0.0.1:6379 (--redis)"
    )
    assert said["EMOTION_THREADS"] == (
        "expected a whole number, at least 1 and at most 1,024, got 'many'; for example "
        "EMOTION_THREADS=4 or --threads 4"
    )
    assert said["EMOTION_ENGINE"].startswith("expected 'auto', 'keras' or 'openvino', got 'cuda';")
    assert said["EMOTION_PREFIX"].startswith("expected no braces")
    assert said["EMOTION_MODEL"].startswith("/models/mine.keras: no such model file;")
    assert said["EMOTION_BATCHSIZE"].endswith("did you mean EMOTION_BATCH_SIZE?")


def test_a_flag_is_called_a_flag_and_a_variable_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_FPS", "0")
    monkeypatch.setenv("EMOTION_QUALITY", "0")
    _, fps, quality = faults(ProducerSettings, "clip.mp4", "--quality", "101")
    assert fps == (
        "EMOTION_FPS: expected a number, more than 0 and at most 1,000, got '0'; for example "
        "EMOTION_FPS=10 or --fps 10"
    )
    assert quality == (
        "--quality: expected a whole number, at least 1 and at most 100, got '101'; for example "
        "--quality 90 or EMOTION_QUALITY=90"
    )


def test_settings_that_conflict_are_said_beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_MAX_AGE", "3")
    monkeypatch.setenv("EMOTION_FPS", "0")
    head, fps, source, age = faults(ProducerSettings, "--mode", "lossless")
    assert head.startswith("3 ")
    assert fps.startswith("EMOTION_FPS: ")
    assert source.startswith("no source: expected a video file")
    assert age == (
        "--max-age drops frames, --mode lossless keeps them all: choose one "
        "(EMOTION_MAX_AGE and EMOTION_MODE); for example EMOTION_MODE=live"
    )


def test_the_default_of_a_wrong_setting_conflicts_with_nothing(tmp_path: Path) -> None:
    (line,) = faults(ProducerSettings, "--source-file", str(tmp_path / "gone"))
    assert line.startswith("--source-file ")  # not that there is no source
    (line,) = faults(DropSettings, "--older-than", "soon", "--all")
    assert line.startswith("--older-than: ")


def test_a_file_that_cannot_be_read_hides_no_other_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMOTION_REDIS_FILE", str(tmp_path / "gone"))
    monkeypatch.setenv("EMOTION_TOKEN_FILE", str(tmp_path / "away"))
    head, redis, port, token = faults(ViewSettings, "--port", "x")
    assert head.startswith("3 ")
    assert redis.startswith(f"EMOTION_REDIS_FILE {tmp_path / 'gone'}: No such file")
    assert token.startswith(f"EMOTION_TOKEN_FILE {tmp_path / 'away'}: No such file")
    assert port.startswith("--port: ")


def test_an_unknown_flag_hides_no_other_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_MODE", "dead")
    head, flag, quality, mode = faults(ProducerSettings, "--max-widht", "3", "--quality", "0")
    assert head.startswith("3 ")
    assert flag == "--max-widht: no such flag, did you mean --max-width?"
    assert mode.startswith("EMOTION_MODE: expected 'live' or 'lossless', got 'dead';")
    assert quality.startswith("--quality: ")
    # One without its value: the environment is looked at all the same.
    head, flag, mode = faults(ProducerSettings, "--quality")
    assert flag.startswith("argument --quality: expected one argument")
    assert mode.startswith("EMOTION_MODE: ")


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_TOKEN", "geheim")
    (line,) = faults(ViewSettings)
    assert line.startswith("EMOTION_TOKEN: expected 16 to 128 letters") and "geheim" not in line
    with pytest.raises(UsageError) as caught:
        read_settings(ViewSettings, "thing", [])
    assert caught.value.__cause__ is None
