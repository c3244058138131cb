"""Frames into Redis, each exactly once, whoever else publishes and whatever gets lost.

This, `sessions.py` and `leftovers.py` are the producer's files that speak to Redis. What makes it
safe is in `scripts/`, each with its reasons; this side keeps the state of one session and waits.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, Literal

import redis
import structlog

from contract import keys as names
from contract.errors import FenceLost, Superseded
from contract.event import SourceState
from contract.frame import FrameMessage
from contract.layout_watch import LayoutWatch
from contract.script import Script
from producer.backpressure import BackpressureWaiter, Fill
from producer.encode import Jpeg
from producer.heartbeat import Heartbeat
from producer.metrics import ProducerMetrics
from producer.outage import OutageGuard
from producer.sessions import Sessions

Mode = Literal["live", "lossless"]

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a frame: its place, and whether Redis took it or refused it (live mode)."""

    session: str
    seq: int
    accepted: bool


class Publisher:
    """The sessions of one source. Frames go one at a time, in order; one thread only.

    client            with `retries=0`: waiting and repeating is done here, where a stop is noticed.
                      May be shared between publishers
    layouts           which partition the source is to live in
    mode              on a full stream "live" drops the oldest unread live frame, "lossless" waits
    max_backlog       most frames in the stream
    max_age_ns        stamped on frames, and what makes a frame one that may be dropped: live
                      frames have one, lossless frames None
    redis_timeout_s   how long an outage may last before it is an error
    full_timeout_s    how long the stream may stay full without moving before it is one
    server            its URL without password, for log lines and errors

    Every method gives up waiting when the process is stopping, after one last try. Raises
    `BrokerUnavailable`, `Superseded`, `WorkersMissing` and, for any other refusal, `BrokerError`.
    """

    def __init__(
        self,
        client: redis.Redis,
        layouts: LayoutWatch,
        source_id: str,
        *,
        mode: Mode,
        metrics: ProducerMetrics,
        heartbeat: Heartbeat,
        max_backlog: int = 256,
        max_age_ns: int | None = None,
        redis_timeout_s: float = 60.0,
        full_timeout_s: float = 14_400.0,
        server: str | None = None,
    ) -> None:
        if (mode == "live") != (max_age_ns is not None):
            raise ValueError(
                f"expected max_age_ns with live and only there, got {mode}, {max_age_ns}"
            )
        self._source = source_id
        self._mode = mode
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._max_backlog = max_backlog
        self._max_age_ns = max_age_ns
        self._client = client
        self._guard = OutageGuard(
            source_id if server is None else f"{source_id} ({server})",
            heartbeat,
            on_outage=metrics.outages.inc,
            timeout_s=redis_timeout_s,
        )
        self._backpressure = BackpressureWaiter(
            source_id,
            heartbeat,
            look=lambda: self._guard.ask(self._fill),
            max_backlog=max_backlog,
            limit_s=full_timeout_s,
            observe=metrics.publish_waits_seconds.observe,
        )
        self._publish_script = Script(client, "producer", "publish")
        self._sessions = Sessions(
            client,
            layouts,
            source_id,
            self._guard,
            heartbeat,
            give_up_s=math.inf if mode == "live" else full_timeout_s,
        )

    def open_session(self, frames_expected: int | None) -> bool:
        """Start a session and tell readers so; False when asked to stop first.

        `frames_expected` is how many frames will come, None if unknown.
        """
        return self._sessions.open(frames_expected)

    def publish(
        self, jpeg: Jpeg, *, captured_at_ns: int, pts_ns: int | None, trace: bytes | None = None
    ) -> Published | None:
        """Publish the next frame; None when asked to stop before it was in.

        A session that Redis lost, or that moves to another partition, is replaced by a new one,
        which this frame then begins. Raises `EncodeError` for a frame over the wire's limits, which
        takes no seq.
        """
        sessions = self._sessions
        if sessions.is_due_to_move() and not self._move():
            return None
        while True:
            frame = FrameMessage(
                source=self._source,
                session=sessions.id,
                seq=sessions.next_seq,
                captured_at_ns=captured_at_ns,
                pts_ns=pts_ns,
                width=jpeg.width,
                height=jpeg.height,
                image=jpeg.data,
                max_age_ns=self._max_age_ns,
                trace=trace,
            )
            try:
                accepted = self._send(frame)
            except FenceLost:
                _log.warning("redis lost this session", source=self._source, session=sessions.id)
                if not sessions.open_again():
                    return None
                continue
            if accepted is None:
                return None
            return Published(frame.session, frame.seq, accepted)

    def close_session(self, state: SourceState) -> None:
        """End the session (`state` "ended" or "offline") and tell readers how many frames it had.

        A session that Redis lost or another producer took over needs no closing.
        """
        self._sessions.close(state)

    def _move(self) -> bool:
        """False when asked to stop first."""
        try:
            with self._metrics.waiting.track_inprogress():
                return self._sessions.move()
        except Superseded:
            self._metrics.dropped.labels(self._source, "superseded").inc()
            raise

    def _fill(self) -> Fill:
        with self._client.pipeline(transaction=False) as pipe:
            pipe.xlen(self._sessions.keys.frames)
            pipe.hget(self._sessions.keys.stats, names.PUBLISHED)
            backlog, published = pipe.execute()
        return Fill(backlog, int(published or 0))

    def _send(self, frame: FrameMessage) -> bool | None:
        """True: taken, False: refused (live), None: asked to stop first."""
        payload = frame.encode()
        sessions = self._sessions
        keys = sessions.keys

        def send() -> Any:
            with self._metrics.publish_seconds.time():
                return self._publish_script(
                    keys=[keys.frames, keys.fence, keys.stats],
                    args=[
                        frame.source, frame.session, sessions.epoch, frame.seq, payload,
                        self._mode, self._max_backlog, names.WORKERS_GROUP, time.time_ns(),
                        names.PUBLISHED, f"{names.DROPPED}unread", names.REFUSED,
                    ],
                )  # fmt: skip

        while True:
            match self._guard.ask(send):
                case None:
                    return None
                case b"full":
                    with self._metrics.waiting.track_inprogress():
                        if not self._backpressure.wait():
                            return None
                case b"refused":
                    self._metrics.dropped.labels(self._source, "refused").inc()
                    sessions.passed()
                    return False
                case b"missing":
                    raise FenceLost(f"{self._source}: Redis has no session {frame.session}")
                case b"superseded" | b"closed":  # the latter only somebody else can have done
                    self._metrics.dropped.labels(self._source, "superseded").inc()
                    raise Superseded(
                        f"{self._source}: another producer opened this source; give one of them "
                        "another --source-id"
                    )
                case answer:
                    # A repeat means that the first try got through and only its reply did not.
                    sessions.took(None if answer == b"repeated" else answer)
                    self._metrics.published.labels(self._source).inc()
                    return True
