"""`emotion-worker` without its networks: for tests of everything around them.

``python -m tests.integration.trouble_worker ARGS``. It sees nobody, in as much time as
TROUBLE_BATCH_S says, and fails on every frame whose seq TROUBLE_POISON_EVERY divides.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from contract.frame import FrameMessage
from worker.cli import main
from worker.outcome import FrameAnalyser, Outcome, Seen
from worker.settings import WorkerSettings


class ScriptedAnalyser:
    """Takes `batch_s` a batch; `poison_every` 0 = no poison."""

    model_id = "scripted@0"

    def __init__(self, batch_s: float, poison_every: int) -> None:
        self._batch_s = batch_s
        self._poison_every = poison_every

    def check(self) -> None:
        """The device is well: what fails is the frame."""

    def analyse(self, frames: Sequence[FrameMessage]) -> list[Outcome]:
        time.sleep(self._batch_s)  # the device at work, not a test that waits
        if self._poison_every and any(frame.seq % self._poison_every == 0 for frame in frames):
            raise RuntimeError("poison")
        return [Seen(())] * len(frames)


def build_scripted(
    settings: WorkerSettings, decoders: Executor, observe: Callable[[str, float], None]
) -> tuple[FrameAnalyser, dict[str, str]]:
    analyser = ScriptedAnalyser(
        float(os.environ.get("TROUBLE_BATCH_S", "0")),
        int(os.environ.get("TROUBLE_POISON_EVERY", "0")),
    )
    return analyser, {"model": analyser.model_id}


if __name__ == "__main__":
    sys.exit(main(build_analyser=build_scripted))
