"""The worker's whole story: read, batch, analyse, settle."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from contract.connect import MAX_BLOCK_S, UNREACHABLE
from contract.errors import BrokerUnavailable, DecodeError
from contract.event import EmotionEvent
from contract.frame import FrameMessage
from contract.process.health import Health
from worker.batcher import Batcher
from worker.frames import Delivery, RedisFrameQueue, Settlement
from worker.lease import LeaseKeeper
from worker.metrics import WorkerMetrics
from worker.outcome import FrameAnalyser, Outcome, Rejected

_log = structlog.get_logger()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Sizes and waits of the loop; times in seconds."""

    batch_size: int = 16
    max_wait_s: float = 0.02
    max_attempts: int = 3
    redis_timeout_s: float = 60.0


class WorkerLoop:
    """Reads frames until `stop` is set, and settles every frame it read before it returns.

    Raises `BrokerUnavailable` when Redis stays away for longer than `redis_timeout_s`.
    """

    def __init__(
        self,
        queue: RedisFrameQueue,
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

    def run(self) -> None:
        """Until stopped: one batch after the other. What was read is settled before it ends."""
        while not self._stop.is_set():
            self._health.beat()
            self._leases.progress()
            self._suspects.extend(self._patiently(self._recover) or ())
            if self._suspects:
                self._try_alone(self._suspects.popleft())
            else:
                self._process(self._next_batch())
        # Suspects not tried yet stay pending: their leases run out and another worker takes them.

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
            read = partial(self._queue.read, self._batcher.room, wait_s or MAX_BLOCK_S)
            deliveries = self._patiently(read)
            self._batcher.add(deliveries or (), time.monotonic())
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
                # Which of them did it? Each is tried alone; the others must not suffer for it.
                _log.exception("batch failed, trying its frames one by one", frames=len(frames))
                self._suspects.extend(delivery for delivery, _ in frames)
                frames, outcomes = [], []
            settlements += self._outcomes(frames, outcomes)
        self._settle(settlements)

    def _try_alone(self, delivery: Delivery) -> None:
        """One frame that may have brought down a worker: counted first, then tried by itself."""
        settlements, frames = self._sort_out([delivery])
        if frames:
            attempts = self._patiently(lambda: self._queue.attempt(delivery)) or 0
            if attempts > self._limits.max_attempts:
                detail = f"not settled in {self._limits.max_attempts} attempts alone"
                settlements.append(self._bury(delivery, frames[0][1].id, "attempts", detail))
            else:
                try:
                    outcomes = self._analyser.analyse([frame for _, frame in frames])
                    settlements += self._outcomes(frames, outcomes)
                except Exception as error:
                    _log.exception("frame failed alone", frame=frames[0][1].id, attempt=attempts)
                    if attempts < self._limits.max_attempts:
                        self._suspects.append(delivery)
                        return
                    detail = f"{type(error).__name__}: {error}"[:500]
                    settlements.append(self._bury(delivery, frames[0][1].id, "error", detail))
        self._settle(settlements)

    def _sort_out(
        self, deliveries: Sequence[Delivery]
    ) -> tuple[list[Settlement], list[tuple[Delivery, FrameMessage]]]:
        """What needs no analysis (settled at once), and the frames that do."""
        settlements: list[Settlement] = []
        frames: list[tuple[Delivery, FrameMessage]] = []
        now_ns = time.time_ns()
        for delivery in deliveries:
            if not delivery.entry:  # somebody's XTRIM took it from under us
                settlements.append(Settlement(delivery.entry_id, "drop", "trimmed"))
                continue
            try:
                frame = FrameMessage.decode(delivery.entry)
            except DecodeError as error:
                entry = delivery.entry_id.decode()
                settlements.append(self._bury(delivery, entry, error.reason, str(error)))
                continue
            if frame.is_stale(now_ns):
                settlements.append(Settlement(delivery.entry_id, "drop", "stale"))
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
                settlements.append(self._bury(delivery, frame.id, outcome.reason, outcome.detail))
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
            self._metrics.observe_event(event)
            settlements.append(Settlement(delivery.entry_id, "event", event.encode()))
        return settlements

    def _bury(self, delivery: Delivery, name: str, reason: str, detail: str) -> Settlement:
        _log.warning("frame buried", frame=name, reason=reason, detail=detail)
        self._metrics.rejections.labels(reason).inc()
        return Settlement(delivery.entry_id, "dead", reason, detail)

    def _settle(self, settlements: Sequence[Settlement]) -> None:
        """Also while stopping: what was analysed is not thrown away."""
        started_s = time.perf_counter()
        settled = self._patiently(lambda: self._queue.settle(settlements), even_stopping=True)
        self._metrics.observe_stage("settle", time.perf_counter() - started_s)
        for item, ours in zip(settlements, settled or (), strict=True):
            self._metrics.frames.labels(item.kind if ours else "lost").inc()

    def _patiently(self, call: Callable[[], T], *, even_stopping: bool = False) -> T | None:
        """`call`, again and again while Redis cannot be reached; None when stopped meanwhile."""
        first_failure_s: float | None = None
        attempt = 0
        while True:
            try:
                result = call()
            except UNREACHABLE as error:
                now_s = time.monotonic()
                self._queue.lost_touch()
                if first_failure_s is None:
                    first_failure_s = now_s
                    self._metrics.outages.inc()
                    _log.warning("Redis cannot be reached, trying again", error=str(error))
                if now_s - first_failure_s > self._limits.redis_timeout_s:
                    raise BrokerUnavailable(
                        f"no Redis for {self._limits.redis_timeout_s:g} s: {error}"
                    ) from error
                self._leases.progress()  # waiting for Redis is not a hanging device
                self._health.beat()
                delay_s = random.uniform(0.5, 1.0) * min(2.0, 0.05 * 2**attempt)
                attempt += 1
                if even_stopping:
                    time.sleep(delay_s)
                elif self._stop.wait(delay_s):
                    return None
            else:
                if first_failure_s is not None:
                    away_s = round(time.monotonic() - first_failure_s, 1)
                    _log.info("Redis is back", away_s=away_s)
                return result
