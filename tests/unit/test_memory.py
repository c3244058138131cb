"""Freed memory is used again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Page faults of 25 batches of four pictures, in a process of its own: the setting lasts as long as
# the process.
_PROGRAM = """
import resource, sys
import numpy as np
from contract.process.memory import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()
np.ones((480, 640, 3), np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(25):
    [np.ones((480, 640, 3), np.uint8) for _ in range(4)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_pictures_do_not_cost_their_page_faults_every_time() -> None:
    def faults(how: str) -> int:
        run = subprocess.run(
            [sys.executable, "-c", _PROGRAM, how], check=True, capture_output=True, text=True
        )
        return int(run.stdout)

    assert faults("kept") < 2_000 < faults("as it is")
