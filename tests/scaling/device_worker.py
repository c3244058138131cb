"""`tests.paced_worker` with one device in it, as a GPU is: it takes one batch at a time.

``python -m tests.scaling.device_worker FLAGS`` takes the flags of `emotion-worker`, and from the
environment PACED_BATCH_S and PACED_LEASE_S as `tests.paced_worker` does. A worker settles at most
``--batch-size / PACED_BATCH_S`` frames a second, however many share the machine's cores.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from contract.frame import FrameMessage
from tests.paced_worker import PacedAnalyser
from worker.cli import main
from worker.frames import LEASE_S
from worker.outcome import FrameAnalyser, Outcome
from worker.settings import WorkerSettings


class DeviceAnalyser(PacedAnalyser):
    """While one lane is on the device the other waits for it, with the next batch in hand."""

    def __init__(self, batch_s: float) -> None:
        super().__init__(batch_s, poison_every=0)
        self._device = threading.Lock()

    def analyse(self, frames: Sequence[FrameMessage]) -> list[Outcome]:
        with self._device:
            return super().analyse(frames)


def build_device(
    _settings: WorkerSettings, _decoders: Executor, _observe: Callable[[str, float], None]
) -> tuple[FrameAnalyser, dict[str, str]]:
    analyser = DeviceAnalyser(float(os.environ["PACED_BATCH_S"]))
    return analyser, {"model": analyser.model_id, "engine": "none"}


if __name__ == "__main__":
    lease_s = float(os.environ.get("PACED_LEASE_S", LEASE_S))
    sys.exit(main(build_analyser=build_device, lease_s=lease_s))
