"""The worker's whole story: read, batch, analyse, settle."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from contract.connect import MAX_BLOCK_S
from contract.errors import DecodeError, DeviceFailed, EncodeError
from contract.event import EmotionEvent
from contract.frame import FrameMessage
from contract.process.health import Health
from contract.process.rationed import Rationed
from worker.batcher import Batcher
from worker.delivery import Delivery, Settlement
from worker.lease import LeaseKeeper
from worker.metrics import WorkerMetrics
from worker.outcome import FrameAnalyser, Outcome, Rejected
from worker.partitions import PartitionedQueue

_log = structlog.get_logger()

_MOST_DETAIL_CHARS = 500  # of what strangers and libraries say


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Sizes and waits of the loop; times in seconds."""

    batch_size: int = 16
    max_wait_s: float = 0.02
    max_attempts: int = 3


class WorkerLoop:
    """Reads frames until `stop` is set, and settles every frame it read before it returns.

    Raises what the queue raises when Redis stays away or refuses for good, and `DeviceFailed` when
    nothing can be analysed any more: what is in hand then stays pending, and other workers take it.
    """

    def __init__(
        self,
        queue: PartitionedQueue,
        analyser: FrameAnalyser,
        metrics: WorkerMetrics,
        health: Health,
        leases: LeaseKeeper,
        limits: LoopLimits,
        stop: threading.Event,
    ) -> None:
        self._queue = queue
        self._analyser = analyser
        self._metrics = metrics
        self._health = health
        self._leases = leases
        self._limits = limits
        self._stop = stop
        self._batcher: Batcher[Delivery] = Batcher(limits.batch_size, limits.max_wait_s)
        self._suspects: deque[Delivery] = deque()
        self._burials = Rationed()

    def run(self) -> None:
        """Until stopped: one batch after the other. What was read is settled before it ends."""
        while not self._stop.is_set():
            self._health.beat()
            self._leases.progress()
            self._log_burials_left_out()
            self._suspects.extend(self._recover())
            if self._suspects:
                self._try_alone(self._suspects.popleft())
            else:
                self._process(self._next_batch())
        # Suspects not tried yet stay pending: their leases run out and another worker takes them.
        self._log_burials_left_out(at_end=True)

    def _recover(self) -> Sequence[Delivery]:
        if self._suspects:  # one by one; more are claimed when these are done
            return ()
        recovered = self._queue.recover(self._limits.batch_size)
        self._metrics.redeliveries.inc(len(recovered))
        return recovered

    def _next_batch(self) -> list[Delivery]:
        """Fill a batch: block for its first frame, then until it is full or its deadline."""
        while not self._stop.is_set():
            wait_s = self._batcher.wait_s(time.monotonic())
            if wait_s == 0.0:
                break
            deliveries = self._queue.read(self._batcher.room, wait_s or MAX_BLOCK_S)
            self._batcher.add(deliveries, time.monotonic())
            if not deliveries and wait_s is None:
                break  # a quiet stream: let the loop look for frames of dead workers
        return self._batcher.take()

    def _process(self, deliveries: Sequence[Delivery]) -> None:
        """Analyse a batch and settle each of its frames."""
        if not deliveries:
            return
        settlements, frames = self._sort_out(deliveries)
        if frames:
            self._metrics.batch_frames.observe(len(frames))
            try:
                outcomes = self._analyser.analyse([frame for _, frame in frames])
            except Exception:
                _log.exception("batch failed, trying its frames one by one", frames=len(frames))
                self._check_device()
                # Which of them did it? Each is tried alone; the others must not suffer for it.
                self._suspects.extend(delivery for delivery, _ in frames)
                frames, outcomes = [], []
            settlements += self._outcomes(frames, outcomes)
        self._settle(settlements)

    def _try_alone(self, delivery: Delivery) -> None:
        """One frame that may have brought down a worker: counted first, then tried by itself."""
        attempts = self._queue.attempt(delivery)
        if attempts is None:
            return  # its partition is away, or another worker settled it: not ours any more
        if attempts > self._limits.max_attempts:
            self._queue.forgive(delivery)  # this one is not made
            detail = f"not settled in {self._limits.max_attempts} attempts alone"
            self._settle([self._bury(delivery, "attempts", detail)])
            return
        settlements, frames = self._sort_out([delivery])
        try:
            outcomes = self._analyser.analyse([frame for _, frame in frames]) if frames else []
        except Exception as error:
            _log.exception("frame failed alone", entry=_name(delivery), attempt=attempts)
            self._check_device(delivery)
            if attempts < self._limits.max_attempts:
                self._suspects.append(delivery)
                return
            detail = f"{type(error).__name__}: {error}"
            self._settle([self._bury(delivery, "error", detail)])
        else:
            self._settle(settlements + self._outcomes(frames, outcomes))

    def _check_device(self, accused: Delivery | None = None) -> None:
        """Is it the frame or the device? A broken device would bury the whole stream, faster than
        healthy workers can save it."""
        try:
            self._analyser.check()
        except Exception as error:
            if accused is not None:
                self._queue.forgive(accused)
            raise DeviceFailed(
                f"the device fails even on an empty picture: {type(error).__name__}: {error}"
            ) from error

    def _sort_out(
        self, deliveries: Sequence[Delivery]
    ) -> tuple[list[Settlement], list[tuple[Delivery, FrameMessage]]]:
        """What needs no analysis (settled at once), and the frames that do."""
        settlements: list[Settlement] = []
        frames: list[tuple[Delivery, FrameMessage]] = []
        now_ns = time.time_ns()
        for delivery in deliveries:
            if not delivery.entry:  # somebody's XTRIM took it from under us
                settlements.append(Settlement(delivery, "drop", "trimmed"))
                continue
            try:
                frame = FrameMessage.decode(delivery.entry)
            except DecodeError as error:
                settlements.append(self._bury(delivery, error.reason, str(error)))
                continue
            if frame.is_stale(now_ns):
                settlements.append(Settlement(delivery, "drop", "stale"))
            else:
                frames.append((delivery, frame))
        return settlements, frames

    def _outcomes(
        self, frames: Sequence[tuple[Delivery, FrameMessage]], outcomes: Sequence[Outcome]
    ) -> list[Settlement]:
        settlements = []
        published_at_ns = time.time_ns()
        for (delivery, frame), outcome in zip(frames, outcomes, strict=True):
            if isinstance(outcome, Rejected):
                settlements.append(self._bury(delivery, outcome.reason, outcome.detail))
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
                model=self._analyser.model_id,
                faces=outcome.faces,
            )
            try:
                body = event.encode()
            except EncodeError as error:
                settlements.append(self._bury(delivery, "oversized", str(error)))
            else:
                settlements.append(Settlement(delivery, "event", body, event=event))
        return settlements

    def _bury(self, delivery: Delivery, reason: str, detail: str) -> Settlement:
        detail = detail[:_MOST_DETAIL_CHARS]
        if self._burials.admits(reason):
            _log.warning("frame buried", entry=_name(delivery), reason=reason, detail=detail)
        return Settlement(delivery, "dead", reason, detail)

    def _log_burials_left_out(self, *, at_end: bool = False) -> None:
        for reason, frames in self._burials.left_out(at_end=at_end).items():
            _log.warning("more frames buried", reason=reason, frames=frames)

    def _settle(self, settlements: Sequence[Settlement]) -> None:
        """End these frames; also while stopping, or what was analysed would be done twice."""
        if not settlements:
            return
        started_s = time.perf_counter()
        self._queue.settle(settlements)
        self._metrics.observe_stage("settle", time.perf_counter() - started_s)


def _name(delivery: Delivery) -> str:
    return delivery.entry_id.decode()
