"""The worker's flags and environment: the only place that reads them."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field

from contract.process.settings import (
    Model,
    Partitions,
    RedisTimeout,
    ServiceSettings,
    usable_cores,
)
from worker.engines.options import EngineName, Precision


def _cache_folder() -> Path:
    """Where the XDG Base Directory Specification wants what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if base.startswith("/"):  # it says to ignore a relative path
        return Path(base) / "emotion-stream"
    try:
        return Path.home() / ".cache" / "emotion-stream"
    except RuntimeError:  # a user without a home, as in some containers: nowhere to keep anything
        return Path(os.devnull) / "emotion-stream"


class WorkerSettings(ServiceSettings):
    """Turn frames into emotion events. Start as many as you like: they share the work by
    themselves, and what one leaves unfinished another takes over.

    Examples:
      emotion-worker --redis redis://127.0.0.1:6379
      emotion-worker --batch-size 32 --metrics-port 9101
      emotion-worker --model my_model.keras          (my_model.json beside it)
      emotion-worker check                           would it work here, and how fast?
      emotion-worker dead list                       frames that could not be analysed
                                                     (emotion-worker dead --help)
      emotion-worker partitions 4                    share a running system's sources out
                                                     anew (emotion-worker partitions --help)

    A Redis that is not there at the start ends it at once with exit code 1: whatever supervises it
    (systemd, compose, Kubernetes) starts it again. One that still loads its data, or goes away
    later, is waited for, up to --redis-timeout.

    Every flag can be set in the environment: --batch-size is EMOTION_BATCH_SIZE.
    """

    model: Model = Field(
        None, description="classifier: a .keras file with its manifest beside it; the shipped "
        "FER+ model by default"
    )  # fmt: skip
    engine: EngineName = Field(
        "auto", description="what runs the networks; auto: Keras on a GPU, else OpenVINO if "
        "installed, else Keras"
    )  # fmt: skip
    precision: Precision = Field(
        "auto", description="what the networks are calculated in; auto: the fastest that is "
        "offered here, int8 where there is an int8 form of the model"
    )  # fmt: skip
    threads: int = Field(
        default_factory=usable_cores,
        ge=1,
        le=1024,
        description="cores that the networks use; all by default",
    )
    cache: Path = Field(
        default_factory=_cache_folder,
        description="folder for converted networks; emotion-stream in $XDG_CACHE_HOME or "
        "~/.cache by default",
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=256,
        description="most frames analysed together; by default what suits the engine, 8 on a CPU "
        "and 64 on a GPU",
    )
    max_wait: float = Field(
        0.0,
        ge=0,
        le=10,
        description="seconds a frame may wait for others with the device idle; batches fill by "
        "themselves while it is busy",
    )
    threshold: float = Field(
        0.5, ge=0.01, lt=1, description="least detector confidence that counts as a face"
    )
    detect_every: int = Field(
        1,
        ge=1,
        le=1_000,
        description="look for faces in one frame of a source in so many and follow them through "
        "those between: cheaper, and somebody new is seen that much later",
    )
    max_attempts: int = Field(
        3, ge=1, le=100, description="solo attempts before a frame becomes a dead letter"
    )
    keep_events: int = Field(
        100_000, ge=1, description="about how many events the events stream keeps"
    )
    keep_dead: int = Field(1_000, ge=1, description="how many dead letters are kept")
    keep_dead_mb: int = Field(
        256, ge=16, le=1_000_000, description="how many MiB of dead letters are kept"
    )
    keep_dead_days: float = Field(
        7.0, gt=0, le=3_650, description="how many days a dead letter is kept: most hold a picture"
    )
    partitions: Partitions = None
    redis_timeout: RedisTimeout = 60.0
    decode_threads: int | None = Field(
        None,
        ge=1,
        le=64,
        description="threads that decode JPEGs; by default as many as --threads, at most 16. Not "
        "used where they are no more than the networks' lanes, on OpenVINO one a core: each lane "
        "decodes its own then",
    )

    @property
    def decoders(self) -> int:
        """How many threads decode."""
        # Not the machine's cores: its workers share them.
        return self.decode_threads or min(16, self.threads)
