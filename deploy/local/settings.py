"""The flags and environment of `emotion-up`: the only place that reads them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from consumer.play_settings import PlaySettings
from consumer.steady_settings import SteadySettings
from contract import wire
from contract.process.faults import Conflict
from contract.process.gpus import VISIBLE, usable_gpus
from contract.process.settings import Model, ProcessSettings, RoleSettings
from contract.process.source_settings import SourceFile, Sources, missing_sources
from contract.process.variables import ENV_PREFIX
from worker.engines.options import EngineName, Precision

EMBEDDED = "embedded"

_BATCH = 8  # frames that a worker on a CPU takes at once, for each core and two times more


class UpSettings(PlaySettings, RoleSettings):
    """The whole system on one machine: a server, workers, a producer and a live view.

    Examples:
      emotion-up video.mp4                      one file, then a summary
      emotion-up 0 --workers 2                  the first camera, until Ctrl-C
      emotion-up a.mp4 b.mp4 --events out.jsonl --annotate out.mp4
      emotion-up video.mp4 --no-realtime        as fast as the machine can
      emotion-up folder/ --detect-every 3       many sources on a small machine
      emotion-up 0 --view                       pictures, people and moods on a web page
      emotion-up 0 --osc 127.0.0.1:9000         play: to Max, Pure Data, SuperCollider
      emotion-up video.mp4 --midi take.mid --csv take.csv

    A file gives exactly one event for every frame. Every flag can be set in the environment:
    --max-width is EMOTION_MAX_WIDTH.
    """

    source: Sources = Field([])
    source_file: SourceFile = None
    redis: str = Field(
        EMBEDDED,
        repr=False,
        description="URL of a Redis or Valkey of your own; by default one is started and stopped "
        "with this command",
    )
    workers: int = Field(
        default_factory=lambda: max(1, len(usable_gpus())),
        ge=1,
        le=64,
        description="worker processes; they share the cores and the GPUs. One by default, or one "
        "for each GPU",
    )
    engine: EngineName = Field(
        "auto", description="what runs the networks; by default the fastest that is installed"
    )
    precision: Precision = Field(
        "auto", description="of the networks' arithmetic; by default the fastest this machine has"
    )
    detect_every: int = Field(
        1,
        ge=1,
        le=1000,
        description="look for faces in every so many frames of a source, and follow them between",
    )
    events: Path | None = Field(None, description="write every event to this file, one JSON a line")
    annotate: Path | None = Field(
        None,
        description="write the video with boxes and emotions to this file; with several sources "
        "to NAME-SOURCE",
    )
    source_id: list[str] = Field(
        [],
        description="name of a source in events, once per source in their order; by default made "
        "from file, camera or address",
    )
    fps: float | None = Field(
        None,
        gt=0,
        le=1000,
        allow_inf_nan=False,
        description="take at most this many frames a second",
    )
    max_width: int | None = Field(
        None,
        ge=16,
        le=wire.MAX_IMAGE_SIDE_PX,
        description="shrink wider frames to this many pixels",
    )
    quality: int | None = Field(None, ge=1, le=100, description="JPEG quality of the frames")
    at_once: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="play so many files at the same time, the others wait their turn; by default "
        "one for each core",
    )
    loop: bool = Field(False, description="play files again and again, until Ctrl-C")
    realtime: bool = Field(True, description="play files at their own speed")
    mode: Literal["live", "lossless"] | None = Field(
        None,
        description="when the workers can't follow: live drops the oldest frames, lossless waits; "
        "by default lossless for files, live for cameras and URLs",
    )
    model: Model = Field(None, description="classifier to use instead of the shipped one")
    view: bool = Field(
        False, description="show it on a web page as well, and open that in the browser"
    )
    view_port: int = Field(
        0, ge=0, le=65535, description="port of that page, on this machine only; 0 = a free one"
    )
    quiet: bool = Field(False, description="no live view, only the summary")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="least severe log line of the parts that is shown"
    )

    @field_validator("redis")
    @classmethod
    def _redis(cls, value: str) -> str:
        return value if value == EMBEDDED else super()._redis(value)

    def conflicts(self) -> Iterator[Conflict]:
        yield from super().conflicts()
        yield from missing_sources(self.source)

    def realtime_backlog(self, cores: int) -> int:
        """Most frames in the stream where time matters, because those that wait are latency.

        What the workers hold at most, and two batches for each, unread: those keep it busy, and
        are what fresher ones can push out.
        """
        held = _BATCH * (max(1, cores // self.workers) + 2)
        return self.workers * (held + 2 * _BATCH)

    def producer_arguments(self, record: Path | None, cores: int) -> list[str]:
        """The producer's command line; `record` is the folder for what it sends, `cores` are those
        of this machine."""
        arguments = [
            *self._shared_arguments(),
            "--realtime" if self.realtime else "--no-realtime",
            "--loop" if self.loop else "--no-loop",
        ]
        optional: dict[str, object] = {
            "--max-backlog": self.realtime_backlog(cores) if self.realtime else None,
            "--fps": self.fps,
            "--max-width": self.max_width,
            "--quality": self.quality,
            "--at-once": self.at_once,
            "--mode": self.mode,
            "--record": record,
        }
        for flag, value in optional.items():
            if value is not None:
                arguments += [flag, str(value)]
        for source_id in self.source_id:
            arguments += ["--source-id", source_id]
        return arguments if self._has_urls else [*arguments, "--", *self.source]

    def worker_arguments(self, cores: int) -> list[str]:
        """A worker's command line; all of them together have a thread for each of `cores`.

        With more, each would spend its time waiting for the others'.
        """
        model = [] if self.model is None else ["--model", str(self.model)]
        return [
            *self._shared_arguments(),
            *("--engine", self.engine),
            *("--precision", self.precision),
            *("--detect-every", str(self.detect_every)),
            *("--threads", str(max(1, cores // self.workers))),
            *model,
        ]

    def view_arguments(self) -> list[str]:
        """The command line of the live page."""
        steady = [
            argument
            for name in SteadySettings.model_fields.keys() - ProcessSettings.model_fields.keys()
            for argument in self._as_given(name)
        ]
        return [*self._shared_arguments(), "--port", str(self.view_port), "--open", *steady]

    def _as_given(self, name: str) -> list[str]:
        """The flag of a field that is not at its default."""
        value = getattr(self, name)
        if value == type(self).model_fields[name].get_default(call_default_factory=True):
            return []
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            return [flag]
        values = value if isinstance(value, list) else [value]
        return [argument for each in values for argument in (flag, str(each))]

    def _shared_arguments(self) -> list[str]:
        # Never less than info: "ready" is said there. `Child` withholds what is not wanted.
        level = "debug" if self.log_level == "debug" else "info"
        return ["--prefix", self.prefix, "--log-level", level, "--log-format", "json"]

    def part_environment(self, url: str) -> dict[str, str | None]:
        """What every part's environment has other than ours; None = nothing.

        The parts go by their command lines: a variable of ours that a flag has overruled must not
        reach them. Only the server's URL goes this way, because it can hold a password.
        """
        # A metrics port in our environment can't be every part's, and we count one partition. The
        # page of --view is for this machine.
        others = ("metrics_port", "partitions", "host", "port", "token", "token_file", "open")
        names = (*type(self).model_fields, *others)
        ours = {ENV_PREFIX + name.upper() for name in names}
        hidden = {name: None for name in os.environ if name.upper() in ours}
        return {**hidden, f"{ENV_PREFIX}REDIS": url}

    def producer_environment(self) -> dict[str, str]:
        """What the producer has in its environment besides: sources with URLs among them. Those can
        hold passwords, and a command line is there for all users of the machine to see."""
        return {f"{ENV_PREFIX}SOURCE": json.dumps(self.source)} if self._has_urls else {}

    @property
    def _has_urls(self) -> bool:
        return any("://" in source for source in self.source)

    def worker_environment(self, number: int, gpus: Sequence[str]) -> dict[str, str]:
        """What worker `number` (from 1) has in its environment: a GPU of its own, as far as they
        go. One that sees several would only use the first."""
        if len(gpus) < 2:
            return {}
        return {VISIBLE: gpus[(number - 1) % len(gpus)]}
