"""How each frame ends: as an event, as a dead letter, or dropped. No I/O but log lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from contract.errors import DecodeError, EncodeError
from contract.event import EmotionEvent
from contract.frame import FrameMessage
from contract.process.rationed import Rationed
from worker.delivery import Delivery, Settlement
from worker.outcome import Outcome, Rejected

if TYPE_CHECKING:
    from worker.traces import FrameTraces

_log = structlog.get_logger()

_MOST_DETAIL_CHARS = 500  # of what strangers and libraries say

Framed = tuple[Delivery, FrameMessage]


class Endings:
    """Makes the settlements of a worker whose events carry `model_id` as their model. `traces`
    hears of frames that are traced, once they are known as such."""

    def __init__(self, model_id: str, traces: FrameTraces | None = None) -> None:
        self._model_id = model_id
        self._traces = traces
        self._burials = Rationed()

    def sort_out(self, deliveries: Sequence[Delivery]) -> tuple[list[Settlement], list[Framed]]:
        """What needs no analysis, and the frames that do."""
        settlements: list[Settlement] = []
        frames: list[Framed] = []
        now_ns = time.time_ns()
        for delivery in deliveries:
            if not delivery.entry:  # somebody's XTRIM took it from under us
                settlements.append(Settlement(delivery, "drop", "trimmed"))
                continue
            try:
                frame = FrameMessage.decode(delivery.entry)
            except DecodeError as error:
                settlements.append(self.bury(delivery, error.reason, str(error)))
                continue
            if frame.trace is not None and self._traces is not None:
                self._traces.follow(delivery, frame)
            if frame.is_stale(now_ns):
                settlements.append(Settlement(delivery, "drop", "stale"))
            else:
                frames.append((delivery, frame))
        return settlements, frames

    def of_outcomes(
        self, frames: Sequence[Framed], outcomes: Sequence[Outcome]
    ) -> list[Settlement]:
        """The ends of analysed frames; to be settled at once, for events say when they were."""
        settlements = []
        published_at_ns = time.time_ns()
        for (delivery, frame), outcome in zip(frames, outcomes, strict=True):
            if isinstance(outcome, Rejected):
                settlements.append(self.bury(delivery, outcome.reason, outcome.detail))
                continue
            event = EmotionEvent(
                source=frame.source,
                session=frame.session,
                seq=frame.seq,
                captured_at_ns=frame.captured_at_ns,
                pts_ns=frame.pts_ns,
                published_at_ns=published_at_ns,
                width=frame.width,
                height=frame.height,
                model=self._model_id,
                faces=outcome.faces,
            )
            try:
                body = event.encode()
            except EncodeError as error:
                settlements.append(self.bury(delivery, "oversized", str(error)))
            else:
                settlements.append(Settlement(delivery, "event", body, event=event))
        return settlements

    def bury(self, delivery: Delivery, reason: str, detail: str) -> Settlement:
        """A dead letter: `reason` in one word, `detail` in a sentence."""
        detail = detail[:_MOST_DETAIL_CHARS]
        if self._burials.admits(reason):
            _log.warning("frame buried", entry=delivery.name, reason=reason, detail=detail)
        return Settlement(delivery, "dead", reason, detail)

    def log_burials_left_out(self, *, at_end: bool = False) -> None:
        """Say how many more were buried than log lines told, when it is time for that."""
        for reason, frames in self._burials.left_out(at_end=at_end).items():
            _log.warning("more frames buried", reason=reason, frames=frames)
