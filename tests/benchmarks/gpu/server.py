"""The worker as it is, on a real server: frames from memory in, events out."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from consumer.percentiles import Percentiles
from consumer.reader import EventReader
from contract.connect import connect
from contract.keys import Keys
from contract.snapshot import read_snapshot
from deploy.local.child import Child, wait_for_all
from deploy.local.supervisor import Supervisor

_READY_S = 600.0  # a GPU met for the first time compiles for minutes
_END_S = 120.0
_WARM_S = 1.0  # what the first second of a paced run measures is its start


@dataclass(frozen=True, slots=True)
class Load:
    """What became of one load: frames a second in and out, from the first capture to the last
    event; latencies without the first second; `dropped` frames got no event."""

    sent_per_s: float
    events_per_s: float
    dropped: int
    latency: Percentiles | None


class System:
    """A server and workers that are ready, until it is closed."""

    def __init__(self, jpegs: Sequence[bytes], workers: int, batch: int, decoders: int) -> None:
        self._supervisor = Supervisor(with_server=True)
        self._workers: list[Child] = []
        try:
            assert self._supervisor.url is not None
            self._url: str = self._supervisor.url
            self._file = self._supervisor.folder / "jpegs.pickle"
            self._file.write_bytes(pickle.dumps(list(jpegs)))
            for number in range(workers):
                flags = ["--batch-size", str(batch), "--decode-threads", str(decoders)]
                self._workers.append(self._start(f"worker {number}", "worker", *flags))
            self._await_ready()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Workers first: what they have in hand is settled while there is a server."""
        for worker in self._workers:
            worker.terminate()
        wait_for_all(self._workers, time.monotonic() + 10.0)
        self._supervisor.close()

    def load(self, name: str, *, feeds: int, frames: int, rate: float) -> Load:
        """Send `frames` in all from `feeds` processes, `rate` a second in all, 0 = as fast as they
        are taken. Raises `PartFailed` when a part dies."""
        ids = [f"{name}-{number}" for number in range(feeds)]
        with connect(self._url) as client:
            before = read_snapshot(client, Keys("emotion"))
            sending = [
                self._start(source, "tests.benchmarks.gpu.feed", self._url, str(self._file),
                            source, str(frames // feeds), str(rate / feeds))
                for source in ids
            ]  # fmt: skip
            for feed in sending:
                while not feed.wait(0.2):
                    for worker in self._workers:
                        worker.check()
            deadline_s = time.monotonic() + _END_S
            while read_snapshot(client, Keys("emotion")).backlog:
                if time.monotonic() > deadline_s:
                    raise TimeoutError(f"frames are left after {_END_S:g} s")
                time.sleep(0.05)
            after = read_snapshot(client, Keys("emotion"))
        failed = [feed.last_words() for feed in sending if feed.exit_code]
        if failed:
            raise RuntimeError(failed[0])
        with EventReader(self._url, start="0-0", sources=ids, idle_s=0.5) as reader:
            times = [(event.captured_at_ns, event.published_at_ns) for event in reader]
        begin_ns = min(captured for captured, _ in times)
        seconds = (max(published for _, published in times) - begin_ns) / 1e9
        latencies = [
            (published - captured) / 1e9
            for captured, published in times
            if captured >= begin_ns + _WARM_S * 1e9
        ]
        return Load(
            sent_per_s=(after.published - before.published) / seconds,
            events_per_s=len(times) / seconds,
            dropped=sum(after.dropped.values()) - sum(before.dropped.values()),
            latency=Percentiles.of(latencies),
        )

    def _start(self, name: str, module: str, *arguments: str) -> Child:
        # JAX takes three quarters of a GPU otherwise, and a second worker nothing.
        environment = {"EMOTION_REDIS": self._url, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        child = Child(name, module, arguments, environment=environment)
        self._supervisor.watch(child.pid)
        return child

    def _await_ready(self) -> None:
        deadline_s = time.monotonic() + _READY_S
        for worker in self._workers:
            while not worker.ready.wait(0.2):
                worker.check()
                if time.monotonic() > deadline_s:
                    raise TimeoutError(f"{worker.name}: not ready within {_READY_S:g} s")


@contextmanager
def running(jpegs: Sequence[bytes], *, workers: int, batch: int, decoders: int) -> Iterator[System]:
    """The system, closed at the end."""
    system = System(jpegs, workers, batch, decoders)
    try:
        yield system
    finally:
        system.close()
