"""The story of one source: open it, and send its frames until it ends or somebody says stop."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from contract.errors import BrokerError, EncodeError, SourceError
from producer.backoff import Backoff
from producer.encode import encode_jpeg
from producer.heartbeat import Heartbeat
from producer.metrics import ProducerMetrics
from producer.pace import Pacer, Sampler
from producer.publish import Publisher
from producer.reader import ReaderThread
from producer.record import Recorder
from producer.source import Source
from producer.traces import FrameTraces
from producer.video import CapturedFrame, SourceLost, Video

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How frames are chosen and encoded. `fps` None = all; `realtime` is for what is no camera."""

    fps: float | None = None
    realtime: bool = True
    loop: bool = False
    max_width: int = 1280
    quality: int = 90


class Stream:
    """One source on its way to Redis; `run` is the body of its thread.

    opened   the source, if it was opened already; the first session uses it
    traces   begins the traces of sampled frames, if any are to be
    ready    set at the first frame, and when the source is over
    """

    def __init__(
        self,
        source: Source,
        options: StreamOptions,
        publisher: Publisher,
        metrics: ProducerMetrics,
        heartbeat: Heartbeat,
        backoff: Backoff,
        *,
        recorder: Recorder | None = None,
        opened: Video | None = None,
        traces: FrameTraces | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self.heartbeat = heartbeat
        self.ready = threading.Event()
        self._options = options
        self._publisher = publisher
        self._metrics = metrics
        self._backoff = backoff
        self._recorder = recorder
        self._opened = opened
        self._traces = traces
        self._clock = clock
        self._sessions = 0
        self._was_open = opened is not None
        self._said_unsent = False

    def run(self) -> None:
        """Send the source to its end, through every loss of a live one, or until asked to stop.

        Raises `SourceError` if it cannot be used, `BrokerError` if Redis or another producer ended
        it, `UsageError` if recording failed.
        """
        is_over = False
        try:
            while not is_over and not self.heartbeat.is_stopping:
                reader = ReaderThread(self._open, self.source.label, on_overrun=self._count_overrun)
                why = ""
                try:
                    is_over = self._session(reader)
                except SourceLost as lost:
                    why = str(lost)
                finally:
                    reader.close()
                    if self._recorder is not None:
                        self._recorder.close()
                if not is_over:
                    self._pause(why)
        finally:
            self.ready.set()

    def _pause(self, why: str) -> None:
        """Before a lost source is tried again."""
        pause_s = self._backoff.next_s()
        _log.warning(
            "source does not answer, trying again",
            source=self.source.id,
            error=why,
            pause_s=round(pause_s, 2),
        )
        self.heartbeat.wait(pause_s)

    def _open(self) -> Video:
        """In the reader's thread."""
        opened, self._opened = self._opened, None
        if opened is not None:
            return opened
        try:
            return self.source.open(loop=self._options.loop, on_damage=self._count_damage)
        except SourceError as error:
            # A camera that was there may well be "not there" or "no video" while it starts again,
            # or while a thread that hangs in it has not let go of it.
            if self._was_open:
                raise SourceLost("closed", str(error)) from error
            raise

    def _session(self, reader: ReaderThread) -> bool:
        """One session; True when the source is over. Raises `SourceLost` when it is to be tried
        again."""
        video = reader.video(self.heartbeat)
        if video is None:
            return True  # asked to stop
        self._was_open = True
        options, metrics, source_id = self._options, self._metrics, self.source.id
        sampler = Sampler(options.fps)
        pacer = Pacer() if options.realtime and not video.is_endless else None
        is_open = False
        try:
            for frame in reader.frames(self.heartbeat):
                # Not before the first frame: a server that answers but sends nothing would fill the
                # events with sessions.
                if not is_open:
                    if not self._publisher.open_session(_expected(video, options.fps)):
                        return True
                    is_open = True
                    self._mark_up()
                metrics.captured.labels(source_id).inc()
                if not sampler.keep(_media_ns(frame)):
                    metrics.skipped.labels(source_id).inc()
                    continue
                captured_at_ns = frame.captured_at_ns
                if pacer is not None:
                    if self.heartbeat.wait(pacer.delay_s(frame.pts_ns, self._clock())):
                        break
                    captured_at_ns = time.time_ns()  # a played file's "now" is when a frame is due
                if not self._send(frame, captured_at_ns):
                    break
        except SourceLost as lost:
            if is_open:
                self._mark_lost(lost)
                self._publisher.close_session("offline")
            if self.source.kind == "file":
                raise SourceError(str(lost)) from lost
            raise
        except BrokerError:
            raise  # not our session any more, or nobody there to tell
        except BaseException:
            with suppress(BrokerError):
                self._publisher.close_session("ended")
            raise
        finally:
            self._metrics.up.labels(source_id).set(0)
        if not is_open and not self.heartbeat.is_stopping:
            raise SourceError(f"{self.source.label}: no frame could be decoded")
        self._publisher.close_session("ended")
        return True

    def _send(self, frame: CapturedFrame, captured_at_ns: int) -> bool:
        """False when asked to stop before the frame was in."""
        options, traces = self._options, self._traces
        trace = None if traces is None else traces.begin(self.source.id, captured_at_ns)
        try:
            with self._metrics.encode_seconds.time():
                jpeg = encode_jpeg(
                    frame.image(options.max_width),
                    max_width=options.max_width,
                    quality=options.quality,
                )
            published = self._publisher.publish(
                jpeg,
                captured_at_ns=captured_at_ns,
                pts_ns=frame.pts_ns,
                trace=None if trace is None else trace.encoded(),
            )
        except BaseException as error:
            if trace is not None:
                trace.end(None, error=str(error))
            if not isinstance(error, EncodeError):
                raise
            self._metrics.dropped.labels(self.source.id, "encode").inc()
            if not self._said_unsent:  # once: a camera that sends such frames sends many
                self._said_unsent = True
                _log.warning("frame not sent", source=self.source.id, error=str(error))
            return True
        if trace is not None:
            trace.end(published)
        if published is None:
            return False
        if self._recorder is not None:
            self._recorder.add(published.session, jpeg, media_ns=_media_ns(frame))
        return True

    def _mark_up(self) -> None:
        self._metrics.up.labels(self.source.id).set(1)
        if self._sessions:
            self._metrics.reconnects.labels(self.source.id).inc()
        self._sessions += 1
        self._backoff.reset()
        self.ready.set()

    def _mark_lost(self, lost: SourceLost) -> None:
        """Before Redis is told: that can take as long as an outage of Redis lasts."""
        self._metrics.up.labels(self.source.id).set(0)
        self._metrics.losses.labels(self.source.id, lost.reason).inc()

    def _count_damage(self) -> None:
        """In the reader's thread."""
        self._metrics.damaged.labels(self.source.id).inc()

    def _count_overrun(self) -> None:
        """In the reader's thread."""
        self._metrics.captured.labels(self.source.id).inc()
        self._metrics.dropped.labels(self.source.id, "overrun").inc()


def _media_ns(frame: CapturedFrame) -> int:
    """Media time, or the time of capture for sources without one."""
    return frame.captured_at_ns if frame.pts_ns is None else frame.pts_ns


def _expected(video: Video, fps: float | None) -> int | None:
    """How many frames will be left of the video's own after sampling."""
    frames, duration_s = video.frames_expected, video.duration_s
    if fps is None or frames is None:
        return frames
    return None if duration_s is None else min(frames, math.ceil(duration_s * fps))
