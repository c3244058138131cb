"""`emotion-worker` with a codec that some frames break, and a stop-watch for the networks.

Queue, loop, leases and everything else are the real ones; only so do hundreds of crashes fit into
minutes. ``python -m tests.chaos.worker PACE_S LEASE_S FLAGS`` takes the flags of `emotion-worker`;
a batch takes PACE_S seconds, as it would on a device.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import cv2
import numpy as np

from contract.event import Box, FaceEmotion
from contract.frame import FrameMessage
from tests.chaos.poison import swallow
from worker.cli import main
from worker.outcome import FrameAnalyser, Outcome, Rejected, Seen
from worker.settings import WorkerSettings

_SCORES = {"neutral": 0.75, "happiness": 0.25}


class PacedAnalyser:
    """Decodes for real, and sees one face in every picture."""

    model_id = "paced@000000000000"

    def __init__(self, pace_s: float) -> None:
        self._pace_s = pace_s

    def analyse(self, frames: Sequence[FrameMessage]) -> list[Outcome]:
        outcomes = [_look(frame) for frame in frames]
        time.sleep(self._pace_s)
        return outcomes

    def check(self) -> None:
        pass


def _look(frame: FrameMessage) -> Outcome:
    swallow(frame.image)
    image = cv2.imdecode(np.frombuffer(frame.image, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return Rejected("image", f"{len(frame.image):,} bytes that OpenCV cannot decode")
    box = Box(0, 0, frame.width, frame.height)
    return Seen((FaceEmotion(box, 0.9, "neutral", _SCORES, 0.2, 0.1),))


def _run(arguments: Sequence[str]) -> int:
    pace_s, lease_s = float(arguments[0]), float(arguments[1])

    def build(
        _settings: WorkerSettings, _decoders: Executor, _observe: Callable[[str, float], None]
    ) -> tuple[FrameAnalyser, dict[str, str]]:
        return PacedAnalyser(pace_s), {"model": "paced", "engine": "none"}

    return main(arguments[2:], build_analyser=build, lease_s=lease_s)


if __name__ == "__main__":
    sys.exit(_run(sys.argv[1:]))
