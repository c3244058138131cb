"""`emotion-up`: settings in, exit code out."""

from __future__ import annotations

from collections.abc import Sequence

from contract.process.command import run_command
from deploy.local.settings import UpSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_command(UpSettings, "emotion-up", _work, argv)


def _work(settings: UpSettings) -> int:
    # Here, so that --help and a wrong flag don't wait for OpenCV and PyAV.
    from deploy.local.run import run

    return run(settings)
