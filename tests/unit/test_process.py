"""How every command reads its flags, logs and fails."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Self

import psutil
import pytest
import structlog
from prometheus_client import CollectorRegistry
from pydantic import Field, field_validator, model_validator

from contract.connect import check_url, connect
from contract.errors import BrokerUnavailable, UsageError
from contract.process import logs
from contract.process.command import explained_if_missing, run_command
from contract.process.health import Health, HealthServer
from contract.process.help import HelpFormatter
from contract.process.logs import configure_logs, native_output_to_debug
from contract.process.settings import RoleSettings, ServiceSettings, read_settings
from contract.redact import redacted, without_secrets


class Settings(RoleSettings):
    """Do a thing.

    Examples:
      thing --size 3
    """

    size: int = Field(1, ge=1, description="how large")
    names: list[str] = Field([], description="what to call it")

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.size == 13 and self.names:
            raise ValueError("13 has no names")
        return self


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
    with pytest.raises(UsageError, match="--size: expected a whole number, at least 1, got '0'"):
        read_settings(Settings, "thing", ["--size", "0"])


def test_a_fault_shows_no_password() -> None:
    secret = ["--redis", "redis://u:secret@host"]
    with pytest.raises(UsageError) as caught:
        read_settings(Settings, "thing", [*secret, "--size", "13", "--names", "a"])
    assert str(caught.value) == "13 has no names"
    with pytest.raises(UsageError) as caught:
        read_settings(Settings, "thing", ["--size", "rtsp://u:secret@host/1"])
    assert "got 'rtsp://***@host/1'" in str(caught.value)
    assert "secret" not in str(caught.value)

    class Strict(Settings):
        @field_validator("redis")
        @classmethod
        def _redis(cls, value: str) -> str:
            raise ValueError(f"cannot use {value}")

    with pytest.raises(UsageError) as caught:
        read_settings(Strict, "thing", secret)
    assert str(caught.value).startswith("--redis: cannot use redis://***@host; for example")
    assert "secret" not in str(caught.value)


def test_a_list_in_the_environment_is_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, names in [
        ("lobby", ["lobby"]),
        ("lobby, hall", ["lobby", "hall"]),
        ('["a, b", "c"]', ["a, b", "c"]),
        ("", []),
    ]:
        monkeypatch.setenv("EMOTION_NAMES", text)
        assert read_settings(Settings, "thing", []).names == names
    assert read_settings(Settings, "thing", ["--names", "a", "--names", "b"]).names == ["a", "b"]
    monkeypatch.setenv("EMOTION_NAMES", "[lobby")
    with pytest.raises(UsageError, match="EMOTION_NAMES: expected JSON or comma-separated text"):
        read_settings(Settings, "thing", [])


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        read_settings(Settings, "thing", ["--help"])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert "Examples:\n  thing --size 3" in text
    assert "--redis URL" in text
    assert "None" not in text


def test_help_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    prose = "Say what a --long-flag that must stay whole does, in more words than fit."
    parser = argparse.ArgumentParser(
        description=f"{prose}\n\nExamples:\n  thing --size 3      as it is written, however long\n",
        formatter_class=HelpFormatter,
    )
    text = parser.format_help()
    assert "  thing --size 3      as it is written, however long\n" in text
    said = text.partition("\n\n")[2].partition("\n\n")[0].splitlines()
    assert " ".join(said) == prose
    assert max(map(len, said)) < 40


def test_a_password_is_shown_nowhere() -> None:
    settings = read_settings(Settings, "thing", ["--redis", "redis://u:secret@host:1/0"])
    assert "secret" not in repr(settings)
    assert redacted(settings.redis) == "redis://***@host:1/0"
    assert redacted("rtsp://cam:p@ss@host/x?token=secret") == "rtsp://***@host/x"
    assert redacted("redis://host:6379/0") == "redis://host:6379/0"


def test_metrics_are_for_this_machine_alone_unless_told_otherwise() -> None:
    settings = read_settings(ServiceSettings, "thing", ["--metrics-port", "0"])
    with HealthServer(
        CollectorRegistry(), Health(), host=settings.metrics_host, port=settings.metrics_port or 0
    ) as server:
        listening = [
            connection.laddr.ip
            for connection in psutil.Process().net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == server.port
        ]
    assert listening == ["127.0.0.1"]
    assert read_settings(ServiceSettings, "thing", []).metrics_port is None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://user:p#ss@h/1", "rtsp://***@h/1"),
        ("rtsp://user:pa/ss@h/1", "rtsp://***@h/1"),
        ("rtsp://user:p?ss@h/1", "rtsp://***@h/1"),
        ("rtsp://user:p ss'\"@h/1?x", "rtsp://***@h/1"),
        ("http://h/1?token=secret", "http://h/1"),
        ("redis://[::1", "redis://[::1"),
        ("redis://u:p@[::1", "redis://***@[::1"),
        ("user:secret@host:6379", "***@host:6379"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("rtsp://h:554/1#2", "rtsp://h:554/1#2"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_user_password_and_query(url: str, shown: str) -> None:
    assert redacted(url) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no 'rtsp://u:p@h/1': refused", "no 'rtsp://***@h/1': refused"),
        ('[rtsp://u:p/w?#@h] "x"', '[rtsp://***@h] "x"'),
        (
            "source=rtsp://u:p@h/1\nurl:http://h/?t=1 a@b",
            "source=rtsp://***@h/1\nurl:http://h/ a@b",
        ),
        ("('rtsp://u:o'clock@h', 'rtsp://i/2')", "('rtsp://***@h', 'rtsp://i/2')"),
        ("{'a':'rtsp://h/1','b':'c@d'}", "{'a':'rtsp://h/1','b':'c@d'}"),
        ("\x1b[35mhttp://h/?t=1\x1b[0m", "\x1b[35mhttp://h/\x1b[0m"),
        ("nothing here: //, ://", "nothing here: //, ://"),
        ("no redis+cluster://u:p@h:1,i:2?x=1 here", "no redis+cluster://***@h:1,i:2 here"),
    ],
)
def test_urls_in_text_are_shown_without_user_password_and_query(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://[::1",
        "redis://u:secret#@h",
        "redis://u:se/cret@h",
        "h:1",
        "redis+cluster://u:secret#@h:1",
        "redis+cluster://u:se/cret@h:1,h:2",
        "redis+cluster://h:1,h:port",
        "redis+cluster://h:1,",
        "redis+cluster://h:1/3",
    ],
)
def test_a_url_that_is_none_is_a_usage_error_without_its_password(url: str) -> None:
    with pytest.raises(UsageError, match="expected redis://") as caught:
        connect(url)
    with pytest.raises(UsageError, match="expected redis://"):
        check_url(url)
    assert "se" not in str(caught.value).split(": expected")[0]


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


def test_a_bugs_traceback_shows_no_password() -> None:
    program = """
from contract.process.command import run_command
from contract.process.settings import ProcessSettings
def fail(_settings):
    raise RuntimeError("cannot open 'rtsp://me:geheim@camera/1'")
run_command(ProcessSettings, "emotion-thing", fail, [])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "in fail" in done.stderr
    assert done.stderr.endswith("RuntimeError: cannot open 'rtsp://***@camera/1'\n")
    assert "geheim" not in done.stderr


def test_logs_are_json_and_hold_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("thing", "info", "json")
    structlog.get_logger().info(
        "hello", url="rtsp://me:secret@camera/1", n=3, of={"all": ["rtsp://a:b@c"]}
    )
    structlog.get_logger().debug("not printed")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["role"], line["n"]) == ("hello", "thing", 3)
    assert line["url"] == "rtsp://***@camera/1"
    assert line["of"] == {"all": ["rtsp://***@c"]}
    thread = threading.Thread(target=logging.getLogger("library").warning, args=("beside",))
    thread.start()
    thread.join()
    assert json.loads(capsys.readouterr().err)["role"] == "thing"


def test_json_tracebacks_hold_no_password_and_no_local_variable(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(password: str) -> None:
        raise RuntimeError("cannot open 'rtsp://me:pa/ss@camera/1?token=hidden'")

    configure_logs("thing", "info", "json")
    for log in (structlog.get_logger().exception, logging.getLogger("library").exception):
        try:
            fail("kept" + "secret")
        except RuntimeError:
            log("failed")
        text = capsys.readouterr().err
        line = json.loads(text)
        assert line["exception"][0]["exc_value"] == "cannot open 'rtsp://***@camera/1'"
        assert "keptsecret" not in text


def test_pretty_tracebacks_hold_no_password_and_no_local_variable(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(password: str) -> None:
        raise RuntimeError("cannot open rtsp://me:pa/ss@camera/1?token=hidden")

    configure_logs("thing", "info", "pretty")
    for log in (structlog.get_logger().exception, logging.getLogger("library").exception):
        try:
            fail("kept" + "secret")
        except RuntimeError:
            log("failed")
        text = capsys.readouterr().err
        assert "RuntimeError: cannot open rtsp://***@camera/1\n" in text
        assert "in fail" in text
        assert "keptsecret" not in text


def test_a_logger_writes_to_the_stderr_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    configure_logs("thing", "info", "json")
    log = structlog.get_logger().bind(bound=1)
    log.info("one")
    logging.getLogger("library").warning("two")
    monkeypatch.setattr(sys, "stderr", second)
    first.close()
    log.info("three")
    structlog.get_logger().info("four")
    logging.getLogger("library").warning("five")
    events = [json.loads(line)["event"] for line in second.getvalue().splitlines()]
    assert events == ["three", "four", "five"]


NOISE = b"I0000 00:00 123 port.cc:153] oneDNN custom operations are on. You may see slight\n"


def test_native_noise_is_withheld_and_everything_else_is_shown(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure_logs("thing", "info", "json")
    with native_output_to_debug():
        os.write(2, NOISE + b"out of memory\n" + NOISE + b"no end of line")
    assert capfd.readouterr().err == "out of memory\nno end of line"
    with pytest.raises(RuntimeError), native_output_to_debug():
        os.write(2, b"out of memory\n")
        raise RuntimeError
    assert capfd.readouterr().err == "out of memory\n"
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"
    configure_logs("thing", "debug", "json")
    with native_output_to_debug():
        os.write(2, NOISE)
    assert json.loads(capfd.readouterr().err)["text"] == NOISE.decode()


def test_native_output_is_shown_at_once_and_may_be_long(capfd: pytest.CaptureFixture[str]) -> None:
    with native_output_to_debug():
        os.write(2, b"first\n")
        deadline = time.monotonic() + 20
        while (seen := capfd.readouterr().err) == "" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert seen == "first\n"
        for _ in range(10):
            os.write(2, NOISE * 1000 + b"x" * 99_999 + b"\n")
    assert capfd.readouterr().err == ("x" * 99_999 + "\n") * 10


@pytest.mark.parametrize("last_words", [b"FATAL: no device\n", b"no end of line"])
def test_the_last_words_of_native_code_that_aborts_are_shown(last_words: bytes) -> None:
    program = f"""
import os, resource
from contract.process.logs import native_output_to_debug
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
with native_output_to_debug():
    os.write(2, {NOISE + last_words!r})
    os.abort()
"""
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == -signal.SIGABRT
    assert done.stderr == last_words


def test_a_child_that_lives_on_does_not_hold_up_the_process(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    wait_until: Callable[..., None],
) -> None:
    monkeypatch.setattr(logs, "_PUMP_END_S", 0.05)
    with native_output_to_debug():
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=sys.stderr.fileno())
    os.write(2, b"on it goes\n")
    with child:
        assert child.stdin
        child.stdin.close()
    assert capfd.readouterr().err == "on it goes\n"
    wait_until(lambda: all(thread.name != "pump" for thread in threading.enumerate()))


def test_a_role_without_its_extra_says_which(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, explained_if_missing("emotion-producer", "producer"):
        raise ModuleNotFoundError("No module named 'av'", name="av.container")
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "emotion-producer: needs av, which is not installed: "
        "pip install 'emotion-stream[producer]'\n"
    )
    with pytest.raises(ModuleNotFoundError), explained_if_missing("emotion-producer", "producer"):
        raise ModuleNotFoundError("No module named 'contract.gone'", name="contract.gone")


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("contract.frame, contract.event, contract.connect, consumer.cli", {"numpy", "cv2", "av"}),
        ("producer.cli, deploy.local.cli, worker.cli, worker.loop", {"tensorflow", "keras"}),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(modules: str, heavy: set[str]) -> None:
    program = f"import sys, {modules}; print(*sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "\n"
