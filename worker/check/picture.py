"""One picture with one face, all the way: decoded, found, cropped, classified; then many."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from contract.errors import DeviceFailed
from contract.frame import FrameMessage
from contract.jpeg import jpeg_size
from worker.check.row import Row, failed, ok, warning
from worker.outcome import FrameAnalyser, Rejected

FACE = Path(__file__).with_name("face.jpg")
_MEASURE_S = 1.0
_USUAL_THRESHOLD = 0.5


def look_at_picture(analyser: FrameAnalyser, start_s: float, threshold: float) -> Row:
    """What is seen in it, and about how many such pictures a second.

    start_s     how long it took to get this analyser
    threshold   least confidence of a face
    """
    frame = _frame()
    (outcome,) = analyser.analyse([frame])
    if isinstance(outcome, Rejected):
        return failed("picture", DeviceFailed(f"{outcome.reason}: {outcome.detail}"), _ADVICE)
    if len(outcome.faces) != 1:
        said = f"expected one face in {FACE.name}, found {len(outcome.faces)}"
        if threshold > _USUAL_THRESHOLD:
            return warning("picture", said, f"lower --threshold, which is {threshold:g}")
        return failed("picture", DeviceFailed(said), _ADVICE)
    face = outcome.faces[0]
    per_s = _pictures_per_s(analyser, frame)
    return ok(
        "picture",
        f"one face, {face.label} ({face.scores[face.label]:.0%}); ready after {start_s:.1f} s, "
        f"then about {per_s:,.0f} faces a second",
    )


_ADVICE = "try --engine keras or --precision float32: what runs the networks gives wrong answers"


def _pictures_per_s(analyser: FrameAnalyser, frame: FrameMessage) -> float:
    """With all lanes busy, as under load."""
    batch = [frame] * analyser.batch_size
    began_s = time.perf_counter()

    def lane(_number: int) -> int:
        done = 0
        while time.perf_counter() - began_s < _MEASURE_S:
            done += len(analyser.analyse(batch))
        return done

    with ThreadPoolExecutor(analyser.lanes, "check") as lanes:
        done: Sequence[int] = list(lanes.map(lane, range(analyser.lanes)))
    return sum(done) / (time.perf_counter() - began_s)


def _frame() -> FrameMessage:
    image = FACE.read_bytes()
    width, height = jpeg_size(image)
    return FrameMessage(
        source="check", session="check", seq=0, captured_at_ns=0, pts_ns=None,
        width=width, height=height, image=image,
    )  # fmt: skip
