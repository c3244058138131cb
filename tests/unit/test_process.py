"""How every command reads its flags, logs and fails."""

from __future__ import annotations

import json
import os

import pytest
from pydantic import Field

from contract.connect import redacted
from contract.errors import BrokerUnavailable, UsageError
from contract.process.command import run_command
from contract.process.logs import configure_logs, native_output_to_debug
from contract.process.settings import RoleSettings, read_settings


class Settings(RoleSettings):
    """Do a thing.

    Examples:
      thing --size 3
    """

    size: int = Field(1, ge=1, description="how large")
    names: list[str] = Field([], description="what to call it")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("EMOTION_")]:
        monkeypatch.delenv(name)


def test_flag_before_environment_before_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings(Settings, "thing", []).size == 1
    monkeypatch.setenv("EMOTION_SIZE", "2")
    assert read_settings(Settings, "thing", []).size == 2
    assert read_settings(Settings, "thing", ["--size", "3"]).size == 3


def test_a_bad_value_names_its_flag() -> None:
    with pytest.raises(UsageError, match="--size: Input should be greater than or equal to 1, got"):
        read_settings(Settings, "thing", ["--size", "0"])


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        read_settings(Settings, "thing", ["--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert "Examples:\n  thing --size 3" in text
    assert "--redis URL" in text
    assert "None" not in text


def test_a_password_is_shown_nowhere() -> None:
    settings = read_settings(Settings, "thing", ["--redis", "redis://u:secret@host:1/0"])
    assert "secret" not in repr(settings)
    assert redacted(settings.redis) == "redis://***@host:1/0"
    assert redacted("rtsp://cam:p@ss@host/x?token=secret") == "rtsp://***@host/x"
    assert redacted("redis://host:6379/0") == "redis://host:6379/0"


def test_an_error_of_ours_is_one_line_and_its_exit_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_settings: Settings) -> int:
        raise BrokerUnavailable("no Redis at redis://host")

    assert run_command(Settings, "emotion-thing", fail, []) == 1
    assert capsys.readouterr().err == "emotion-thing: no Redis at redis://host\n"
    assert run_command(Settings, "emotion-thing", fail, ["--size", "x"]) == 2


def test_a_bug_keeps_its_traceback() -> None:
    def fail(_settings: Settings) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(Settings, "emotion-thing", fail, [])


def test_logs_are_json_and_hold_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    import structlog

    configure_logs("thing", "info", "json")
    structlog.get_logger().info("hello", url="rtsp://me:secret@camera/1", n=3)
    structlog.get_logger().debug("not printed")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["role"], line["n"]) == ("hello", "thing", 3)
    assert line["url"] == "rtsp://***@camera/1"


def test_native_chatter_is_kept_unless_it_explains_a_failure(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure_logs("thing", "info", "json")
    with native_output_to_debug():
        os.write(2, b"oneDNN is on\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(RuntimeError), native_output_to_debug():
        os.write(2, b"out of memory\n")
        raise RuntimeError
    assert capfd.readouterr().err == "out of memory\n"
