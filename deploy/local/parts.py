"""The running system: the supervisor with its server, the workers, the producer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from contract.process.gpus import usable_gpus
from contract.process.settings import usable_cores
from deploy.local.child import Child, PartFailed, wait_for_all
from deploy.local.settings import EMBEDDED, UpSettings
from deploy.local.supervisor import Supervisor

# Together with the server below the three seconds that Ctrl-C may take.
PRODUCER_GRACE_S = 0.8
STOP_GRACE_S = 2.5
BAD_SOURCE = 2  # the producer's exit code when a source could not be used


class Parts:
    """Starts the parts, watches them and ends them; a context manager.

    url      of the server that all of them use
    folder   temporary, gone at the end
    """

    def __init__(self, settings: UpSettings) -> None:
        self._settings = settings
        self._supervisor = Supervisor(with_server=settings.redis == EMBEDDED)
        self.url = self._supervisor.url or settings.redis
        self._workers: list[Child] = []
        self._producer: Child | None = None
        self._view: Child | None = None

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        # However we come here, nothing of ours survives; after `stop` there is nothing left to do.
        for child in self._children:
            child.kill()
        self._supervisor.close()

    def start_workers(self) -> None:
        """Start all of them; each takes seconds to get ready."""
        arguments = self._settings.worker_arguments(usable_cores())
        gpus = usable_gpus()
        for number in range(1, self._settings.workers + 1):
            name = f"worker {number}" if self._settings.workers > 1 else "worker"
            environment = self._settings.worker_environment(number, gpus)
            child = self._start(name, "worker", arguments, environment)
            self._workers.append(child)

    def start_producer(self, record: Path | None) -> None:
        """Start it; `record` is the folder for what it sends, removed at the end."""
        if record is not None:
            self._supervisor.will_remove(record)
        arguments = self._settings.producer_arguments(record, usable_cores())
        self._producer = self._start(
            "producer", "producer", arguments, self._settings.producer_environment()
        )

    def start_view(self) -> None:
        """Start the live page."""
        self._view = self._start("view", "consumer.view", self._settings.view_arguments(), {})

    @property
    def view_url(self) -> str | None:
        """Where the live page is, once it is there."""
        if self._view is None or not self._view.ready.is_set():
            return None
        return str(self._view.said["url"])

    @property
    def workers(self) -> int:
        return len(self._workers)

    @property
    def workers_ready(self) -> int:
        return sum(worker.ready.is_set() for worker in self._workers)

    @property
    def all_workers_ready(self) -> bool:
        return self.workers_ready == self.workers

    @property
    def producer_started(self) -> bool:
        return self._producer is not None

    @property
    def producer_ended(self) -> bool:
        return self._producer is not None and self._producer.exit_code is not None

    @property
    def had_bad_sources(self) -> bool:
        """Whether a source could not be used; the producer has said which."""
        return self._producer is not None and self._producer.exit_code == BAD_SOURCE

    def check(self) -> None:
        """Raises `PartFailed` with the last words of a part that died."""
        self._supervisor.check()
        for worker in self._workers:
            worker.check()
        if self._view is not None:
            self._view.check()
        if self._producer is not None and self._producer.exit_code not in (None, 0, BAD_SOURCE):
            raise PartFailed(self._producer.last_words())

    def check_server(self, patience_s: float) -> None:
        """The same for the server alone, waiting a moment: it dies before its supervisor knows."""
        self._supervisor.wait(patience_s)
        self._supervisor.check()

    def notes(self) -> Iterator[str]:
        """What the parts said to the user since the last call."""
        for child in self._children:
            yield from child.notes()

    def stop(self) -> None:
        """End the producer, then the workers; the server goes with the `with` block.

        In this order every frame that was captured is in the stream before the workers finish, and
        what they have in hand is settled while there still is a server to settle it on.
        """
        deadline_s = time.monotonic() + STOP_GRACE_S
        if self._producer is not None:
            self._producer.terminate()
            wait_for_all([self._producer], time.monotonic() + PRODUCER_GRACE_S)
        others = self._workers + ([] if self._view is None else [self._view])
        for child in others:
            child.terminate()
        wait_for_all(others, deadline_s)
        for child in self._children:
            self._supervisor.forget(child.pid)

    @property
    def _children(self) -> list[Child]:
        return [*self._workers, *(c for c in (self._producer, self._view) if c is not None)]

    def _start(
        self, name: str, module: str, arguments: list[str], environment: dict[str, str]
    ) -> Child:
        child = Child(
            name,
            module,
            arguments,
            environment={**self._settings.part_environment(self.url), **environment},
            level=self._settings.log_level,
            talks=module == "producer",  # it names bad sources; TensorFlow only makes noise
        )
        self._supervisor.watch(child.pid)
        return child
