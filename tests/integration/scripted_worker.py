"""`emotion-worker` without its networks: it sees nobody in any frame.

`python -m tests.integration.scripted_worker` takes the worker's flags.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from contract.frame import FrameMessage
from worker.cli import main
from worker.outcome import Outcome, Seen
from worker.settings import WorkerSettings


class SeesNobody:
    model_id = "scripted@0"

    def analyse(self, frames: Sequence[FrameMessage]) -> list[Outcome]:
        return [Seen(()) for _ in frames]

    def check(self) -> None: ...


def build(
    _settings: WorkerSettings, _decoders: Executor, _observe: Callable[[str, float], None]
) -> tuple[SeesNobody, dict[str, str]]:
    return SeesNobody(), {"model": "scripted"}


if __name__ == "__main__":
    sys.exit(main(build_analyser=build))
