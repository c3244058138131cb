"""The worker's whole story: read, hand to a free lane, settle what the lanes have finished."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from contract.connect import MAX_BLOCK_S
from contract.errors import DeviceFailed
from contract.process.health import Health
from worker.batcher import Batcher
from worker.delivery import Delivery, Settlement
from worker.endings import Endings, Framed
from worker.lanes import Lanes, shares
from worker.lease import LeaseKeeper
from worker.metrics import WorkerMetrics
from worker.outcome import FrameAnalyser, Outcome
from worker.partitions import PartitionedQueue
from worker.traces import FrameTraces

_log = structlog.get_logger()

# How often to look for frames while a lane is at work and the next batch has room: only a lane that
# has finished wakes the loop then. A frame may wait so long for a lane that has nothing to do.
_LOOK_EVERY_S = 0.004


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Sizes and waits of the loop; times in seconds."""

    batch_size: int = 16
    max_wait_s: float = 0.0
    max_attempts: int = 3


class WorkerLoop:
    """Reads frames until `stop` is set, and settles every frame it read before it returns.

    A free lane takes at once whatever is there, so at low load no frame waits for others. While all
    lanes are busy the next batch fills, so at high load batches grow to `batch_size`.

    All of Redis is spoken to by the thread that calls `run`. Raises what the queue raises when
    Redis stays away or refuses for good, and `DeviceFailed` when nothing can be analysed any more:
    what is in hand then stays pending, and other workers take it.
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
        traces: FrameTraces | None = None,
    ) -> None:
        self._queue = queue
        self._analyser = analyser
        self._metrics = metrics
        self._health = health
        self._leases = leases
        self._limits = limits
        self._stop = stop
        self._traces = traces
        self._endings = Endings(analyser.model_id, traces)
        self._batcher: Batcher[Delivery] = Batcher(limits.batch_size, limits.max_wait_s)
        self._lanes: Lanes[Framed, Outcome] = Lanes(analyser.lanes, self._analyse)
        self._suspects: deque[Delivery] = deque()

    def run(self) -> None:
        """Until stopped: keep the lanes busy. What was read is settled before it ends."""
        with self._lanes:
            while not self._stop.is_set():
                self._hand_over()  # first of all: no free lane should wait for Redis
                self._take_back()
                self._endings.log_burials_left_out()
                self._suspects.extend(self._recover())
                if self._suspects:
                    self._finish_all()  # a frame that ends the process takes no other along
                    self._try_alone(self._suspects.popleft())
                elif not self._read():
                    self._await_lanes()
            # Suspects not tried yet stay pending: their leases run out and another worker takes
            # them.
            self._finish_all()
        self._endings.log_burials_left_out(at_end=True)

    def _hand_over(self, *, at_once: bool = False) -> None:
        """Give the batch to the free lanes, if it is ready or `at_once`."""
        free = self._lanes.free
        wait_s = self._batcher.wait_s(time.monotonic())
        if not free or wait_s is None or (wait_s > 0 and not at_once):
            return
        settlements, frames = self._endings.sort_out(self._batcher.take())
        for share in shares(frames, free):
            self._metrics.batch_frames.observe(len(share))
            self._lanes.start(share)
        self._settle(settlements)

    def _take_back(self) -> None:
        """Settle what the lanes have finished, in the order it was read."""
        done = self._lanes.finished()
        if done or self._lanes.is_idle:
            # Not every time round: when a device hangs, this loop does not.
            self._health.beat()
            self._leases.progress()
        settlements: list[Settlement] = []
        failed: list[Delivery] = []
        for batch in done:
            try:
                outcomes = batch.results.result()
            except Exception:
                _log.exception(
                    "batch failed, trying its frames one by one", frames=len(batch.items)
                )
                failed += [delivery for delivery, _ in batch.items]
            else:
                settlements += self._endings.of_outcomes(batch.items, outcomes)
        self._settle(settlements)
        if failed:
            self._check_device()
            # Which of them did it? Each is tried alone; the others must not suffer for it.
            self._suspects.extend(failed)

    def _recover(self) -> Sequence[Delivery]:
        if self._suspects:  # one by one; more are claimed when these are done
            return ()
        recovered = self._queue.recover(self._limits.batch_size)
        self._metrics.redeliveries.inc(len(recovered))
        if self._traces is not None:
            self._traces.read(recovered)
        return recovered

    def _read(self) -> bool:
        """Read what the next batch has room for, waiting only while no lane is at work. False if
        nothing came and there was no wait."""
        wait_s = self._batcher.wait_s(time.monotonic())
        if not self._batcher.room:
            return False
        block_s = 0.0
        if self._lanes.is_idle:
            block_s = MAX_BLOCK_S if wait_s is None else wait_s
        deliveries = self._queue.read(self._batcher.room, block_s)
        if self._traces is not None:
            self._traces.read(deliveries)
        self._batcher.add(deliveries, time.monotonic())
        return bool(deliveries) or self._lanes.is_idle

    def _await_lanes(self) -> None:
        """Until a lane has finished, or it is time to look for more frames."""
        wait_s = self._batcher.wait_s(time.monotonic())
        if not self._lanes.free:
            # What came too late to be read would have to wait for the batch after the next.
            self._lanes.wait(_LOOK_EVERY_S if self._batcher.room else MAX_BLOCK_S)
        else:
            self._lanes.wait(_LOOK_EVERY_S if wait_s is None else min(wait_s, _LOOK_EVERY_S))

    def _finish_all(self) -> None:
        """Until nothing is in hand but suspects."""
        while True:
            self._hand_over(at_once=True)
            self._take_back()
            if self._lanes.is_idle and self._batcher.is_empty:
                return
            self._lanes.wait(MAX_BLOCK_S)

    def _try_alone(self, delivery: Delivery) -> None:
        """One frame that may have brought down a worker: counted first, then tried by itself."""
        attempts = self._queue.attempt(delivery)
        if attempts is None:
            return  # its partition is away, or another worker settled it: not ours any more
        if attempts > self._limits.max_attempts:
            self._queue.forgive(delivery)  # this one is not made
            detail = f"not settled in {self._limits.max_attempts} attempts alone"
            self._settle([self._endings.bury(delivery, "attempts", detail)])
            return
        settlements, frames = self._endings.sort_out([delivery])
        try:
            outcomes = self._analyse(frames) if frames else []
        except Exception as error:
            _log.exception("frame failed alone", entry=delivery.name, attempt=attempts)
            self._check_device(delivery)
            if attempts < self._limits.max_attempts:
                self._suspects.append(delivery)
                return
            detail = f"{type(error).__name__}: {error}"
            self._settle([self._endings.bury(delivery, "error", detail)])
        else:
            self._settle(settlements + self._endings.of_outcomes(frames, outcomes))

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

    def _analyse(self, frames: Sequence[Framed]) -> Sequence[Outcome]:
        if self._traces is not None:
            self._traces.analysing(frames)
        return self._analyser.analyse([frame for _, frame in frames])

    def _settle(self, settlements: Sequence[Settlement]) -> None:
        """End these frames; also while stopping, or what was analysed would be done twice."""
        if not settlements:
            return
        if self._traces is not None:
            self._traces.settling(settlements)
        started_s = time.perf_counter()
        self._queue.settle(settlements)
        self._metrics.observe_stage("settle", time.perf_counter() - started_s)
