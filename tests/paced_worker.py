"""`emotion-worker` with a stop-watch in place of its networks, for tests of everything around them.

``python -m tests.paced_worker FLAGS`` takes the flags of `emotion-worker`. Queue, loop, leases and
JPEG decoding are the real ones, so a test can have thousands of frames and hundreds of crashes in a
minute. From the environment:

PACED_BATCH_S        seconds that a batch takes, as it would on a device (0)
PACED_LEASE_S        lease of all workers of the test (the product's)
PACED_MODEL          what its events carry as their model (paced@000000000000)
PACED_POISON_EVERY   fail on every frame whose seq this divides (none); see also `tests.poison`
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import cv2
import numpy as np

from contract.event import Box, FaceEmotion
from contract.frame import FrameMessage
from tests.poison import swallow
from worker.cli import main
from worker.frames import LEASE_S
from worker.outcome import FrameAnalyser, Outcome, Rejected, Seen
from worker.settings import WorkerSettings

MODEL = "paced@000000000000"
_SCORES = {"neutral": 0.75, "happiness": 0.25}


class PacedAnalyser:
    """Decodes for real, and sees one face in every picture."""

    batch_size = 16
    lanes = 2

    def __init__(self, batch_s: float, poison_every: int, model_id: str = MODEL) -> None:
        self.model_id = model_id
        self._batch_s = batch_s
        self._poison_every = poison_every

    def analyse(self, frames: Sequence[FrameMessage]) -> list[Outcome]:
        time.sleep(self._batch_s)  # the device at work, not a test that waits
        if self._poison_every and any(frame.seq % self._poison_every == 0 for frame in frames):
            raise RuntimeError("poison")
        return [_look(frame) for frame in frames]

    def check(self) -> None:
        """The device is well: what fails is the frame."""


def _look(frame: FrameMessage) -> Outcome:
    swallow(frame.image)
    image = cv2.imdecode(np.frombuffer(frame.image, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return Rejected("image", f"{len(frame.image):,} bytes that OpenCV cannot decode")
    box = Box(0, 0, frame.width, frame.height)
    return Seen((FaceEmotion(box, 0.9, "neutral", _SCORES, 0.2, 0.1),))


def build_paced(
    _settings: WorkerSettings, _decoders: Executor, _observe: Callable[[str, float], None]
) -> tuple[FrameAnalyser, dict[str, str]]:
    analyser = PacedAnalyser(
        float(os.environ.get("PACED_BATCH_S", "0")),
        int(os.environ.get("PACED_POISON_EVERY", "0")),
        os.environ.get("PACED_MODEL", MODEL),
    )
    return analyser, {"model": analyser.model_id, "engine": "none"}


if __name__ == "__main__":
    lease_s = float(os.environ.get("PACED_LEASE_S", LEASE_S))
    sys.exit(main(build_analyser=build_paced, lease_s=lease_s))
