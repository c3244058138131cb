"""A part as a subprocess: what it says, how it ends, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.child import SAME_NOTES, Child, PartFailed, wait_for_all

Start = Callable[[str], Child]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a child from source code."""
    children = []

    def run(code: str, *, level: str = "warning", talks: bool = False) -> Child:
        (tmp_path / "part.py").write_text(textwrap.dedent(code))
        environment = {"PYTHONPATH": str(tmp_path)}
        child = Child("part", "part", [], environment=environment, level=level, talks=talks)
        children.append(child)
        return child

    yield run
    for child in children:
        child.kill()


LOG = """
import json, sys
def log(event, level="info", **more):
    print(json.dumps({"event": event, "level": level, "role": "x", **more}), file=sys.stderr)
"""


def test_ready_is_heard(start: Start) -> None:
    child = start(LOG + "log('ready'); sys.stderr.flush(); import time; time.sleep(60)")
    assert child.ready.wait(10)
    child.check()  # it runs: nothing to complain about
    child.kill()
    assert child.exit_code == -signal.SIGKILL


def test_warnings_and_errors_are_passed_on_and_the_rest_is_not(start: Start) -> None:
    child = start(
        LOG
        + """
log("fine")
log("slow", "warning", source="door", pause_s=2)
log("broken", "error", exception=[{"exc_type": "ValueError", "exc_value": "seven"}])
print("2026-11-23 03:00:00.1: I tensorflow/core: oneDNN", file=sys.stderr)
"""
    )
    assert child.wait(10)
    child.last_words()  # everything is heard
    assert list(child.notes()) == [
        "part: slow (source door, pause_s 2)",
        "part: broken (ValueError: seven)",
    ]


def test_a_fault_of_every_frame_does_not_bury_the_rest(start: Start) -> None:
    child = start(LOG + "for n in range(100): log('frame buried', 'warning', frame=n)")
    assert child.wait(10)
    child.last_words()
    notes = list(child.notes())
    assert len(notes) == SAME_NOTES
    assert notes[-1].endswith("(more of these are not shown)")


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["detail", "fine", "slow", "broken"]),
        ("info", ["fine", "slow", "broken"]),
        ("error", ["broken"]),
    ],
)
def test_only_what_is_severe_enough_is_shown(
    start: Callable[..., Child], level: str, shown: list[str]
) -> None:
    code = "log('detail', 'debug'); log('fine'); log('slow', 'warning'); log('broken', 'error')"
    child = start(LOG + code, level=level)
    assert child.wait(10)
    child.last_words()
    assert list(child.notes()) == [f"part: {event}" for event in shown]


def test_ready_is_heard_though_it_is_not_shown(start: Callable[..., Child]) -> None:
    child = start(LOG + "log('ready')", level="error")
    assert child.ready.wait(10)


def test_native_code_has_last_words_too(start: Start) -> None:
    words = "2026-11-23 03:00:00.1: F tensorflow/core/x.cc:7] Check failed: size > 0"
    child = start(f"import os, sys; print({words!r}, file=sys.stderr, flush=True); os.abort()")
    assert child.wait(10)
    assert child.last_words() == f"part was killed by SIGABRT\n{words}"


def test_last_words_are_its_own(start: Start) -> None:
    child = start("raise SystemExit('emotion-part: the disk is full')")
    assert child.wait(10)
    with pytest.raises(PartFailed) as caught:
        child.check()
    assert str(caught.value) == "part ended with exit code 1\nemotion-part: the disk is full"
    assert caught.value.exit_code == 1


def test_what_was_shown_is_not_said_again(start: Callable[..., Child]) -> None:
    child = start("raise SystemExit('emotion-part: bad camera')", talks=True)
    assert child.wait(10)
    child.last_words()
    assert list(child.notes()) == ["emotion-part: bad camera"]
    assert child.last_words() == "part ended with exit code 1"


def test_a_users_fault_keeps_its_exit_code(start: Start) -> None:
    child = start("raise SystemExit(2)")
    assert child.wait(10)
    with pytest.raises(PartFailed) as caught:
        child.check()
    assert caught.value.exit_code == 2


def test_a_kill_is_named(start: Start) -> None:
    child = start("import time; time.sleep(60)")
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait(10)
    assert "part was killed by SIGKILL" in child.last_words()


def test_what_it_started_ends_with_it(start: Start, wait_until: Callable[..., None]) -> None:
    child = start(
        """
        import subprocess, sys, time
        grandchild = subprocess.Popen(["sleep", "60"])
        print(grandchild.pid, file=sys.stderr, flush=True)
        time.sleep(60)
        """
    )
    wait_until(lambda: bool(child._errors), 10)
    grandchild = child._errors[0]
    child.kill()

    def is_gone() -> bool:
        found = subprocess.run(["ps", "-o", "stat=", "-p", grandchild], capture_output=True)
        return found.stdout.strip() in (b"", b"Z")

    wait_until(is_gone)


def test_one_that_does_not_stop_is_ended_at_the_deadline(start: Start) -> None:
    child = start(
        LOG
        + """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
log("ready"); sys.stderr.flush()
time.sleep(60)
"""
    )
    assert child.ready.wait(10)
    child.terminate()
    started_s = time.monotonic()
    wait_for_all([child], started_s + 0.2)
    assert time.monotonic() - started_s < 30  # it would have slept for 60
    assert child.exit_code == -signal.SIGKILL
