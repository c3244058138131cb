"""Commands in the tests' own process, for what they refuse before they begin: there to import is
all that a process of its own would do, for half a second each time."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock


def run_here(
    main: Callable[[Sequence[str]], int], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """What `main` makes of these arguments, and of no variable of ours."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith("EMOTION_")}
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, plain, clear=True),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
    ):
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = 0 if ended.code is None else int(ended.code)
    return subprocess.CompletedProcess(arguments, code, stdout.getvalue(), stderr.getvalue())
