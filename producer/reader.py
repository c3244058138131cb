"""A thread that does nothing but read one video, and the hand-over of its frames.

Reading has a thread of its own for three reasons. A read that hangs (opencv#22677, a dead network
mount, a name server) must not keep the process from stopping. A camera does not wait: when
publishing is slow for a moment, the oldest frames in hand go, instead of growing ever staler in
socket buffers. And decoding the next frame overlaps with encoding this one.
"""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

import structlog

from contract.errors import SourceError
from producer.heartbeat import Heartbeat
from producer.video import CapturedFrame, SourceLost, Video

_log = structlog.get_logger()

CAPACITY = 4  # frames in hand: enough for a burst after network jitter, little as latency
_POLL_S = 0.2  # how soon a stop is noticed while nothing comes
_REPORT_S = 10.0  # longer than any time-out of opening
LOCAL_OPEN_TIMEOUT_S = 30.0  # a network drive that has to wake up may take so long


def open_in_time(
    open_video: Callable[[], Video],
    label: str,
    stop: threading.Event,
    *,
    limit_s: float = LOCAL_OPEN_TIMEOUT_S,
) -> Video | None:
    """What `open_video` opens, in a thread of its own; None when asked to stop first.

    Raises what it raises, and `SourceError` when a driver or a drive that hangs lets it take longer
    than the limit.
    """
    answers: queue.SimpleQueue[Video | BaseException] = queue.SimpleQueue()
    given_up = threading.Event()

    def body() -> None:
        try:
            video = open_video()
        except BaseException as caught:
            answers.put(caught)
            return
        answers.put(video)
        if given_up.is_set():  # nobody takes it any more
            video.close()

    threading.Thread(target=body, name=f"open {label}", daemon=True).start()
    deadline_s = time.monotonic() + limit_s
    while not stop.is_set():
        try:
            answer = answers.get(timeout=_POLL_S)
        except queue.Empty:
            if time.monotonic() > deadline_s:
                given_up.set()
                raise SourceError(f"{label}: did not open within {limit_s:g} s") from None
        else:
            if isinstance(answer, BaseException):
                raise answer
            return answer
    return None


class ReaderThread:
    """Opens and reads one video in a daemon thread.

    open_video   called in that thread, which also closes what it returns
    on_overrun   called in that thread for each frame a live source had to give up

    A reader whose read hangs is abandoned: `close` asks its thread to end as soon as the read
    returns and does not wait.
    """

    def __init__(
        self,
        open_video: Callable[[], Video],
        label: str,
        *,
        on_overrun: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_video = open_video
        self._label = label
        self._on_overrun = on_overrun
        self._clock = clock
        self._change = threading.Condition()
        self._video: Video | None = None
        self._frames: deque[CapturedFrame] = deque()
        self._error: BaseException | None = None
        self._finished = False
        self._closing = False
        threading.Thread(
            target=contextvars.copy_context().run,  # log lines say the same as the stream's
            args=(self._run,),
            name=f"read {label}",
            daemon=True,
        ).start()

    def video(self, heartbeat: Heartbeat) -> Video | None:
        """The open video, for its properties; None when asked to stop before it was open.

        What hangs here (a name server, a dead mount, a driver) cannot be interrupted, and trying
        again beside it would only pile up threads. So there is no limit, but it is said. Raises
        what opening it raised.
        """
        started_s = said_s = self._clock()
        with self._change:
            while self._video is None:
                if self._error is not None:
                    raise self._error
                if heartbeat.is_stopping:
                    return None
                heartbeat.beat()
                if self._clock() - said_s >= _REPORT_S:
                    said_s = self._clock()
                    waited_s = round(said_s - started_s)
                    _log.warning("still opening", video=self._label, waited_s=waited_s)
                self._change.wait(_POLL_S)
            return self._video

    def frames(self, heartbeat: Heartbeat) -> Iterator[CapturedFrame]:
        """The frames to the end of the video, or until asked to stop.

        Raises what reading raised, and `SourceLost` after too long a silence.
        """
        video = self.video(heartbeat)
        while video is not None and not heartbeat.is_stopping:
            frame = self._take(heartbeat, video.silence_limit_s)
            if frame is None:
                return
            yield frame

    def close(self) -> None:
        """Let the thread end and close its video."""
        with self._change:
            self._closing = True
            self._frames.clear()
            # The error knows this reader by its traceback. Without the knot between them untied,
            # decoders and their threads would pile up from reconnect to reconnect until Python's
            # cycle collector comes by.
            self._error = None
            self._change.notify_all()

    def _take(self, heartbeat: Heartbeat, silence_limit_s: float) -> CapturedFrame | None:
        """The next frame; None at the end or when asked to stop."""
        since_s = self._clock()
        with self._change:
            while not self._frames:
                if self._error is not None:
                    raise self._error
                if self._finished or heartbeat.is_stopping:
                    return None
                heartbeat.beat()
                if self._clock() - since_s > silence_limit_s:
                    raise SourceLost(
                        "stalled", f"{self._label}: no frame for {silence_limit_s:g} s"
                    )
                self._change.wait(_POLL_S)
            frame = self._frames.popleft()
            self._change.notify_all()
            return frame

    def _run(self) -> None:
        try:
            self._read()
        except BaseException as caught:  # the other thread raises it: nothing dies in silence here
            self._error = caught
        with self._change:
            if self._closing:
                self._error = None
            self._finished = True
            self._change.notify_all()

    def _read(self) -> None:
        video = self._open_video()
        try:
            with self._change:
                self._video = video
                self._change.notify_all()
            for frame in video.frames():
                if not self._hand_over(frame, wait=not video.is_endless):
                    break
        finally:
            video.close()

    def _hand_over(self, frame: CapturedFrame, *, wait: bool) -> bool:
        """False when nobody wants frames any more."""
        overrun = False
        with self._change:
            while wait and len(self._frames) >= CAPACITY and not self._closing:
                self._change.wait()
            if self._closing:
                return False
            if len(self._frames) >= CAPACITY:
                self._frames.popleft()
                overrun = True
            self._frames.append(frame)
            self._change.notify_all()
        if overrun:
            self._on_overrun()
        return True
