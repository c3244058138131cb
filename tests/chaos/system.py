"""The processes under attack: two systems on one server, one lossless, one live."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.process import KeptProcess
from tests.integration.clips import write_video

LOSSLESS, LIVE = "chaos", "live"  # prefixes of their keys
# Which sources they have; one more is the poisoner's. Any two numbers of partitions, of 1 to 4, put
# some of them elsewhere and leave others where they are.
SOURCES = {LOSSLESS: ("b", "g", "s", "t"), LIVE: ("camera",)}

# What a stop may take: a batch, a Redis call that waits out a stalled connection, and some more
# because the machine is shared.
STOP_S = 30.0
_BACKLOG = 96


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the workers are, and how patient with each other."""

    batch_s: float = 0.06
    lease_s: float = 10.0


class System:
    """Three workers, two producers of two endless files each and two readers; beside them a camera
    that is faster than its one worker.

    url      of the server, through the proxy
    folder   for clips, outputs and logs
    """

    def __init__(self, url: str, folder: Path, pace: Pace) -> None:
        self._url = url
        self._folder = folder
        self._pace = pace
        clips = [
            write_video(folder / f"{name}.mkv", range(0, 2000, 10), width=64, height=48)
            for name in SOURCES[LOSSLESS]
        ]
        self.producers = [
            self._producer("producer-1", LOSSLESS, *self._files(clips[:2])),
            self._producer("producer-2", LOSSLESS, *self._files(clips[2:])),
        ]
        camera = (str(clips[0]), "--source-id", *SOURCES[LIVE], "--mode", "live", "--loop")
        self.camera = self._producer(
            "camera", LIVE, *camera, "--max-backlog", "16", "--max-age", "0.3"
        )
        self.workers = [
            *(self._worker(f"worker-{n}", LOSSLESS, pace.batch_s, 8) for n in (1, 2, 3)),
            self._worker("worker-live", LIVE, 3 * pace.batch_s, 4),
        ]
        self.reader = self._reader("reader")
        self.member = self._reader("member", "--group", "recorder")

    @property
    def processes(self) -> list[KeptProcess]:
        return [*self.producers, self.camera, *self.workers, self.reader, self.member]

    def keep(self) -> None:
        """Start again whatever ended by itself."""
        for process in self.processes:
            process.keep()

    def abandon(self) -> None:
        for process in self.processes:
            process.abandon()

    def handed_out(self, reader: KeptProcess) -> list[str]:
        """Ids of the events a reader was given. A killed one may leave half a line."""
        ids = []
        for line in reader.output.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                try:
                    ids.append(json.loads(line)["id"])
                except ValueError:  # the half line of one that was killed, and the next one's first
                    ids.append(json.loads(line[line.rindex(b'{"v"') :])["id"])
        return ids

    def _files(self, clips: list[Path]) -> list[str]:
        names = [part for clip in clips for part in ("--source-id", clip.stem)]
        return [*map(str, clips), *names, "--loop", "--no-realtime", "--max-backlog", str(_BACKLOG)]

    def _producer(self, name: str, prefix: str, *flags: str) -> KeptProcess:
        return self._start(name, "session open", prefix, "producer", *flags)

    def _reader(self, name: str, *flags: str) -> KeptProcess:
        events = ("--from", "beginning", "--format", "jsonl")
        return self._start(name, "never said", LOSSLESS, "consumer", *events, *flags)

    def _worker(self, name: str, prefix: str, batch_s: float, batch_size: int) -> KeptProcess:
        return self._start(
            name, "ready", prefix,
            "tests.paced_worker", "--batch-size", str(batch_size),
            "--keep-events", "100000000", "--keep-dead", "1000000",
            environment={"PACED_BATCH_S": str(batch_s), "PACED_LEASE_S": str(self._pace.lease_s)},
        )  # fmt: skip

    def _start(
        self,
        name: str,
        ready_event: str,
        prefix: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
    ) -> KeptProcess:
        return KeptProcess(
            name, self._folder, ready_event, *arguments,
            "--redis", self._url, "--prefix", prefix, "--log-format", "json",
            environment=environment,
        )  # fmt: skip
