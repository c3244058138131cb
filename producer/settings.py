"""The producer's flags and environment: the only place that reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from contract import wire
from contract.process.faults import Conflict
from contract.process.settings import Partitions, RedisTimeout, ServiceSettings
from contract.process.source_settings import SourceFile, Sources, missing_sources

DEFAULT_MAX_AGE_S = 10.0


class ProducerSettings(ServiceSettings):
    """Send video to the workers: files, folders of files, cameras and network streams, as many at
    once as you like.

    Examples:
      emotion-producer 0                              the first camera
      emotion-producer clip.mp4 --loop                a file, again and again
      emotion-producer recordings/ --no-realtime      a folder, as fast as the workers can
      emotion-producer rtsp://10.0.0.7/live --source-id stage --fps 15
      emotion-producer 0 clip.mp4 --source-id stage --source-id clip

    A source that cannot be used is named on stderr, the others go on, and the exit code is 2 at
    the end. A network source that does not answer, and a camera that goes dark, is tried again
    until it is back; each time it comes back it begins a new session. A file with --loop stays one
    session: its frames count on and its media times go on rising.

    --mode says what happens when the workers cannot follow. live: the oldest frames that nobody
    has read yet are dropped, and counted, so that events stay fresh; so are those that wait for
    longer than --max-age. lossless: the producer waits, so that every frame of a file gives an
    event. Sources of both kinds share one stream, and a live one drops live frames only: while
    files keep the stream full its own are refused, and counted. A --prefix each keeps them apart.

    A Redis that is not there at the start ends it at once with exit code 1: whatever supervises it
    (systemd, compose, Kubernetes) starts it again. One that still loads its data, or goes away
    later, is waited for, up to --redis-timeout.

    Files play a few at once (--at-once), the others wait their turn. Cameras and URLs never wait,
    nor do files with --loop, which have no end.

    Every flag can be set in the environment: --max-width is EMOTION_MAX_WIDTH.
    """

    source: Sources = Field([])
    source_file: SourceFile = None
    source_id: list[str] = Field(
        [],
        description="name of a source in frames and events, once per source in their order; by "
        "default made from file, camera or address",
    )
    fps: float | None = Field(
        None,
        gt=0,
        le=1000,
        allow_inf_nan=False,
        description="take at most this many frames a second, evenly spaced",
    )
    max_width: int = Field(
        1280,
        ge=16,
        le=wire.MAX_IMAGE_SIDE_PX,
        description="shrink wider frames to this many pixels; narrower ones stay as they are",
    )
    quality: int = Field(90, ge=1, le=100, description="JPEG quality of the frames")
    at_once: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="play so many files at the same time; by default one for each core",
    )
    loop: bool = Field(False, description="play files again and again, until stopped")
    realtime: bool = Field(
        True, description="play files at their own speed; otherwise as fast as they are taken"
    )
    mode: Literal["live", "lossless"] | None = Field(
        None,
        description="when the workers can't follow: live drops the oldest frames, lossless waits; "
        "by default lossless for files, live for cameras and URLs",
    )
    max_backlog: int = Field(
        256, ge=1, le=1_000_000, description="most frames in the stream; more are not sent"
    )
    max_age: float | None = Field(
        None,
        gt=0,
        le=86_400,
        allow_inf_nan=False,
        description="live frames older than so many seconds are dropped instead of analysed; "
        "by default 10",
    )
    full_timeout: float = Field(
        14_400.0,
        gt=0,
        le=604_800,
        allow_inf_nan=False,
        description="lossless: seconds to wait for room in a full stream in which nothing moves "
        "(no worker runs) before giving up",
    )
    partitions: Partitions = None
    redis_timeout: RedisTimeout = 60.0
    reconnect_max: float = Field(
        10.0,
        ge=0.1,
        le=3600,
        allow_inf_nan=False,
        description="longest pause in seconds before a lost source is tried again; pauses grow "
        "from 0.25 s",
    )
    record: Path | None = Field(
        None,
        description="write the frames of each session, as sent, to FOLDER/SOURCE-SESSION.mkv",
    )

    def conflicts(self) -> Iterator[Conflict]:
        yield from missing_sources(self.source)
        if self.max_age is not None and self.mode == "lossless":
            yield Conflict(
                ("max_age", "mode"),
                "--max-age drops frames, --mode lossless keeps them all: choose one",
                "MODE=live",
            )

    def mode_for(self, *, is_file: bool) -> Literal["live", "lossless"]:
        """The mode of a source: the one asked for, or what suits its kind."""
        return self.mode or ("lossless" if is_file else "live")

    def max_age_ns_for(self, mode: Literal["live", "lossless"]) -> int | None:
        """What is stamped on the frames of a source in this mode."""
        if mode == "lossless":
            return None
        return round((self.max_age or DEFAULT_MAX_AGE_S) * 1e9)
