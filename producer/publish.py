"""Sessions and frames into Redis, each exactly once, whoever else publishes and whatever gets lost.

The producer's one file that speaks to Redis. What makes it safe is in `scripts/`, each with its
reasons; this side keeps the state of one session and waits.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import redis
import structlog

from contract import keys as names
from contract.errors import BrokerUnavailable, FenceLost, Superseded
from contract.event import SourceRecord, SourceState
from contract.frame import FrameMessage
from contract.keys import Keys
from contract.script import Script
from producer.backpressure import BackpressureWaiter, Fill
from producer.encode import Jpeg
from producer.heartbeat import Heartbeat
from producer.metrics import ProducerMetrics
from producer.outage import OutageGuard

Mode = Literal["live", "lossless"]

# The workers bound the events stream (--keep-events). This is for a system without any, in which
# a camera that comes and goes would fill it alone; far above theirs, so as not to overrule them.
KEEP_EVENTS = 1_000_000

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
    mode              on a full stream "live" drops the oldest unread live frame, "lossless" waits
    max_backlog       most frames in the stream
    max_age_ns        stamped on frames, and what makes a frame one that may be dropped: live
                      frames have one, lossless frames None
    redis_timeout_s   how long an outage may last before it is an error
    full_timeout_s    how long the stream may stay full without moving before it is one
    server            its URL without password, for log lines and errors
    announce          called before a session is opened: the server may be new, or without its data

    Every method gives up waiting when the process is stopping, after one last try. Raises
    `BrokerUnavailable`, `Superseded`, `WorkersMissing` and, for any other refusal, `BrokerError`.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
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
        announce: Callable[[], object] = lambda: None,
    ) -> None:
        if (mode == "live") != (max_age_ns is not None):
            raise ValueError(
                f"expected max_age_ns with live and only there, got {mode}, {max_age_ns}"
            )
        self._keys = keys
        self._source = source_id
        self._mode = mode
        self._metrics = metrics
        self._heartbeat = heartbeat
        self._max_backlog = max_backlog
        self._max_age_ns = max_age_ns
        self._client = client
        self._announce = announce
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
        self._open_script = Script(client, "producer", "open_session")
        self._publish_script = Script(client, "producer", "publish")
        self._close_script = Script(client, "producer", "close_session")
        self._session = ""
        self._epoch = 0
        self._next_seq = 0
        self._frames_expected: int | None = None

    def open_session(self, frames_expected: int | None) -> bool:
        """Start a session and tell readers so; False when asked to stop first.

        `frames_expected` is how many frames will come, None if unknown.
        """
        # The time makes ids sort, the random part makes them unique.
        session = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"
        now_ns = time.time_ns()
        record = SourceRecord(self._source, session, "started", now_ns, frames_expected).encode()

        def open_it() -> Any:
            self._announce()
            return self._open_script(
                keys=[self._keys.fence, self._keys.events],
                args=[self._source, session, record, now_ns, KEEP_EVENTS],
            )

        epoch: int | None = self._guard.ask(open_it)
        if epoch is None:
            return False
        self._session, self._epoch, self._next_seq = session, epoch, 0
        self._frames_expected = frames_expected
        _log.info("session open", source=self._source, session=session, mode=self._mode)
        return True

    def publish(
        self, jpeg: Jpeg, *, captured_at_ns: int, pts_ns: int | None, trace: bytes | None = None
    ) -> Published | None:
        """Publish the next frame; None when asked to stop before it was in.

        A session that Redis lost is replaced by a new one, which this frame then begins. Raises
        `EncodeError` for a frame over the wire's limits, which takes no seq.
        """
        while True:
            frame = FrameMessage(
                source=self._source,
                session=self._session,
                seq=self._next_seq,
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
                _log.warning("redis lost this session", source=self._source, session=self._session)
                if not self.open_session(self._frames_expected):
                    return None
                continue
            if accepted is None:
                return None
            self._next_seq += 1
            return Published(frame.session, frame.seq, accepted)

    def close_session(self, state: SourceState) -> None:
        """End the session (`state` "ended" or "offline") and tell readers how many frames it had.

        A session that Redis lost or another producer took over needs no closing.
        """
        if not self._session:
            return
        frames = self._next_seq

        def close() -> Any:
            now_ns = time.time_ns()
            record = SourceRecord(self._source, self._session, state, now_ns, frames).encode()
            return self._close_script(
                keys=[self._keys.fence, self._keys.events],
                args=[
                    self._source, self._session, self._epoch, state, frames, record, now_ns,
                    KEEP_EVENTS,
                ],
            )  # fmt: skip

        while True:
            answer: int | None = self._guard.ask(close)
            if answer is None:
                raise BrokerUnavailable(
                    f"{self._source}: session {self._session} stays open: Redis did not answer"
                )
            if answer < 0:
                break
            frames = answer
        said = {-1: f"session {state}", -2: "session lost by redis", -3: "session superseded"}
        _log.info(said[answer], source=self._source, session=self._session, frames=frames)
        self._session = ""

    def _fill(self) -> Fill:
        with self._client.pipeline(transaction=False) as pipe:
            pipe.xlen(self._keys.frames)
            pipe.hget(self._keys.stats, names.PUBLISHED)
            backlog, published = pipe.execute()
        return Fill(backlog, int(published or 0))

    def _send(self, frame: FrameMessage) -> bool | None:
        """True: taken, False: refused (live), None: asked to stop first."""
        payload = frame.encode()

        def send() -> Any:
            with self._metrics.publish_seconds.time():
                return self._publish_script(
                    keys=[self._keys.frames, self._keys.fence, self._keys.stats],
                    args=[
                        frame.source, frame.session, self._epoch, frame.seq, payload,
                        self._mode, self._max_backlog, names.WORKERS_GROUP, time.time_ns(),
                        names.PUBLISHED, f"{names.DROPPED}unread", names.REFUSED,
                    ],
                )  # fmt: skip

        while True:
            match self._guard.ask(send):
                case None:
                    return None
                # A repeat means that the first try got through and only its reply did not.
                case b"ok" | b"repeated":
                    self._metrics.published.labels(self._source).inc()
                    return True
                case b"refused":
                    self._metrics.dropped.labels(self._source, "refused").inc()
                    return False
                case b"full":
                    with self._metrics.waiting.track_inprogress():
                        if not self._backpressure.wait():
                            return None
                case b"missing":
                    raise FenceLost(f"{self._source}: Redis has no session {frame.session}")
                case _:  # superseded; or closed, which only somebody else can have done
                    self._metrics.dropped.labels(self._source, "superseded").inc()
                    raise Superseded(
                        f"{self._source}: another producer opened this source; give one of them "
                        "another --source-id"
                    )
