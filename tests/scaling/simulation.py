"""KEDA, the HPA and a Deployment of real workers against real frames; KEDA's clock runs faster."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from contract.connect import connect
from contract.event import EmotionEvent, decode_record
from contract.keys import Keys
from contract.snapshot import Snapshot, read_snapshot
from tests.chaos.process import REPOSITORY
from tests.scaling.deployment import Deployment
from tests.scaling.hpa import HorizontalPodAutoscaler
from tests.scaling.keda import Keda, read_triggers
from tests.scaling.rules import HPA_SYNC_S, ScaledObject
from tests.scaling.timeline import Change, Look, Timeline

_LOOK_S = 0.25
_MOST_EVENTS = 5_000  # read at a look
KEYS = Keys("scale")


class Stuck(Exception):
    """What was waited for did not come."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the cameras send and what a worker can do: a device that takes `batch_size` frames in
    `batch_s`. `lease_s` is how long a dead worker's frames stay its own."""

    fps: float = 20.0
    batch_size: int = 4
    batch_s: float = 0.02
    lease_s: float = 10.0


class Simulation:
    """A context manager, which starts everything. `factor`: seconds of KEDA's clock in a real one.

    timeline       what was seen
    ids            of all events; `doubled` how many came twice
    broken_moments looks at which the law of conservation did not hold
    """

    def __init__(
        self, url: str, folder: Path, spec: ScaledObject, load: Load, *, factor: float
    ) -> None:
        self._url = url
        self._folder = folder
        self._spec = spec
        self._load = load
        self._factor = factor
        self._keda = Keda(spec)
        self._hpa = HorizontalPodAutoscaler(spec)
        self._began_s = time.monotonic()
        self._poll_at_s = self._sync_at_s = self._look_at_s = 0.0
        self._last_event: bytes = b"0-0"
        self._cameras = 0
        self.timeline = Timeline()
        self.ids: set[str] = set()
        self.doubled = 0
        self.sent = self.left_out = 0
        self.broken_moments: list[Snapshot] = []

    def __enter__(self) -> Simulation:
        load = self._load
        with ExitStack() as stack:
            self._client: redis.Redis = stack.enter_context(connect(self._url))
            common = ("--redis", self._url, "--prefix", KEYS.prefix)
            self._producer = subprocess.Popen(
                [sys.executable, "-m", "tests.scaling.cameras", *common, "--fps", str(load.fps)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY,
            )  # fmt: skip
            stack.callback(self._close_producer)
            command = (
                "tests.scaling.device_worker", *common, "--batch-size", str(load.batch_size),
                "--keep-events", "10000000",
            )  # fmt: skip
            pace = {"PACED_BATCH_S": str(load.batch_s), "PACED_LEASE_S": str(load.lease_s)}
            self.workers = stack.enter_context(Deployment(self._folder, command, pace))
            self._order("cameras 0")
            self._stack = stack.pop_all()
        self._began_s = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def phase(self, name: str, cameras: int) -> None:
        """From here on so many cameras."""
        self._order(f"cameras {cameras}")
        self._cameras = cameras
        self.timeline.phases.append((name, self._now_s()))

    def run_for(self, keda_s: float) -> None:
        """So many seconds of KEDA's clock."""
        until_s = self._now_s() + keda_s / self._factor
        while self._now_s() < until_s:
            self._step()

    def run_until(self, predicate: Callable[[], bool], what: str, timeout_s: float = 120.0) -> None:
        """Raises `Stuck` after `timeout_s` real seconds."""
        until_s = self._now_s() + timeout_s
        while not predicate():
            if self._now_s() > until_s:
                raise Stuck(f"not within {timeout_s:g} s: {what}; {self.snapshot()}")
            self._step()

    def is_asleep(self) -> bool:
        """No worker is there or wanted, and no frame."""
        asleep = self.workers.replicas == 0 and self.workers.leaving == 0
        return asleep and self.snapshot().backlog == 0 and self._seen_all()

    def lose_a_worker(self, phase: str, frames: int) -> None:
        """Asleep, one more worker takes `frames` frames, hangs on them and is killed: what a node
        leaves behind that dies while the last worker drains. KEDA looks away meanwhile."""
        self.phase(phase, 0)
        last = self.workers.start({"PACED_BATCH_S": "600"})
        try:
            self._wait(lambda: last.is_ready, "the last worker is ready")
            self._order(f"burst {frames}")
            self._wait(lambda: self.snapshot().pending == frames, "it has the frames in hand")
        finally:
            last.kill()

    def trim(self) -> None:
        """Somebody's XTRIM: pending entries are left of which the stream knows nothing."""
        self._client.xtrim(KEYS.frames, maxlen=0, approximate=False)

    def snapshot(self) -> Snapshot:
        return read_snapshot(self._client, KEYS)

    def _now_s(self) -> float:
        return time.monotonic() - self._began_s

    def _order(self, command: str) -> None:
        stdin, stdout = self._producer.stdin, self._producer.stdout
        assert stdin is not None and stdout is not None
        stdin.write(f"{command}\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        self.sent, self.left_out = answer["sent"], answer["left_out"]

    def _close_producer(self) -> None:
        self._producer.communicate(timeout=30.0)  # the end of its stdin ends it

    def _wait(self, predicate: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
        """Like `run_until`, while nobody scales."""
        until_s = time.monotonic() + timeout_s
        while not predicate():
            if time.monotonic() > until_s:
                raise Stuck(f"not within {timeout_s:g} s: {what}; {self.snapshot()}")
            time.sleep(0.01)

    def _step(self) -> None:
        """Whatever is due, then wait for what is due next."""
        now_s = self._now_s()
        if now_s >= self._poll_at_s:
            self._poll_at_s = now_s + self._spec.polling_s / self._factor
            triggers = read_triggers(self._client, KEYS)
            replicas = self._keda.poll(now_s * self._factor, triggers, self.workers.replicas)
            self._scale(replicas, "keda")
        if now_s >= self._sync_at_s:
            self._sync_at_s = now_s + HPA_SYNC_S / self._factor
            triggers = read_triggers(self._client, KEYS)
            metrics = [
                (triggers.length, self._spec.stream_length),
                (triggers.pending, self._spec.pending_entries),
            ]
            replicas = self._hpa.sync(now_s * self._factor, metrics, self.workers.replicas)
            self._scale(replicas, "hpa")
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + _LOOK_S
            self.workers.keep()
            self._look(now_s)
        due_s = min(self._poll_at_s, self._sync_at_s, self._look_at_s)
        time.sleep(max(0.001, due_s - self._now_s()))

    def _scale(self, replicas: int, by: str) -> None:
        before = self.workers.replicas
        if replicas != before:
            self.timeline.changes.append(Change(self._now_s(), before, replicas, by))
            self.workers.scale(replicas)

    def _look(self, now_s: float) -> None:
        snapshot = self.snapshot()
        # What was trimmed in a worker's hands is in no count until a worker finds it.
        if snapshot.unaccounted != max(0, snapshot.pending - snapshot.backlog):
            self.broken_moments.append(snapshot)
        self.timeline.looks.append(
            Look(
                now_s,
                self._cameras,
                self.workers.replicas,
                self.workers.ready,
                snapshot.backlog,
                snapshot.pending,
                self._read_events(),
            )
        )

    def _seen_all(self) -> bool:
        return len(self.ids) == self.snapshot().events

    def _read_events(self) -> tuple[float, ...]:
        """Latencies of the events since the last time."""
        reply: Any = self._client.xread({KEYS.events: self._last_event}, count=_MOST_EVENTS)
        latencies: list[float] = []
        for entry_id, entry in reply[0][1] if reply else ():
            self._last_event = entry_id
            record = decode_record(entry)
            if isinstance(record, EmotionEvent):
                latencies.append((record.published_at_ns - record.captured_at_ns) / 1e9)
                self.doubled += record.id in self.ids
                self.ids.add(record.id)
        return tuple(latencies)
