"""A worker whose codec dies of poisoned frames: `python -m tests.integration.poison_worker`.

Everything is the product's but the networks: real flags, real leases, real JPEG decoding. A JPEG
that carries the comment `poison:raise`, `poison:kill` or `poison:exit` does to the codec what a
malformed one can do to a native library.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import cv2
import numpy as np

from contract.frame import FrameMessage
from worker.cli import main
from worker.outcome import Outcome, Rejected, Seen
from worker.settings import WorkerSettings

LEASE_S = 1.0
EXIT_CODE = 3


def poisoned(jpeg: bytes, poison: str) -> bytes:
    """`jpeg` with a comment segment right after its start."""
    comment = f"poison:{poison}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


class PoisonedAnalyser:
    """Decodes, and sees nobody."""

    model_id = "poisoned@0"

    def analyse(self, frames: Sequence[FrameMessage]) -> list[Outcome]:
        return [self._analyse(frame.image) for frame in frames]

    def check(self) -> None:
        self.analyse([])

    def _analyse(self, image: bytes) -> Outcome:
        if b"poison:kill" in image:
            os.kill(os.getpid(), signal.SIGKILL)
        if b"poison:exit" in image:
            os._exit(EXIT_CODE)
        if b"poison:raise" in image:
            raise RuntimeError("the codec says no")
        decoded = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
        return Rejected("image", "broken") if decoded is None else Seen(())


def build_analyser(
    settings: WorkerSettings, decoders: Executor, observe: Callable[[str, float], None]
) -> tuple[PoisonedAnalyser, dict[str, str]]:
    return PoisonedAnalyser(), {"model": "poisoned"}


if __name__ == "__main__":
    sys.exit(main(build_analyser=build_analyser, lease_s=LEASE_S))
