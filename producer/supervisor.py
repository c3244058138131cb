"""One thread per source, and a main thread that starts them and hears how each ended."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from contract.errors import EmotionStreamError
from contract.process.health import Health
from producer.stream import Stream

_log = structlog.get_logger()

_LOOK_S = 0.5
SILENCE_LIMIT_S = 30.0  # longer than any single call a stream's thread makes
SHUTDOWN_GRACE_S = 15.0  # two Redis calls that hang, publish and close, end after 5 s each


class StillRunning(EmotionStreamError):
    """A thread did not end after the request to stop."""


def supervise(
    streams: Sequence[Stream],
    stop: threading.Event,
    health: Health,
    on_error: Callable[[EmotionStreamError], None],
    *,
    files_at_once: int | None,
) -> None:
    """Run all streams to their end; main thread only.

    At most `files_at_once` files play at the same time (None = all of them), so that a folder of
    any size needs no more threads, memory and open files than that; the others wait in order.

    An `EmotionStreamError` ends its own stream, and `on_error` hears of it at once. Any other
    exception is a bug: everything is stopped and it is raised. `health` is ready once every stream
    that runs has had a frame, and alive as long as none of their threads hangs.
    """
    ended: queue.SimpleQueue[tuple[Stream, BaseException | None]] = queue.SimpleQueue()

    def body(stream: Stream) -> None:
        error: BaseException | None = None
        try:
            stream.run()
        except BaseException as caught:
            error = caught
        ended.put((stream, error))

    def start(stream: Stream) -> None:
        running.add(stream)
        stream.heartbeat.beat()  # it may have waited for long
        # Daemons: a thread that hangs must not keep the process from ending. The context carries
        # what every log line of this process says.
        threading.Thread(
            target=contextvars.copy_context().run,
            args=(body, stream),
            name=f"source {stream.source.id}",
            daemon=True,
        ).start()

    waiting = deque(stream for stream in streams if stream.source.kind == "file")
    slots = len(waiting) if files_at_once is None else files_at_once
    running: set[Stream] = set()
    for stream in streams:
        if stream.source.kind != "file":
            start(stream)
    bug: BaseException | None = None
    give_up_s: float | None = None
    while True:
        if stop.is_set():
            waiting.clear()
        while waiting and sum(stream.source.kind == "file" for stream in running) < slots:
            start(waiting.popleft())
        if not running:
            break
        try:
            stream, error = ended.get(timeout=_LOOK_S)
        except queue.Empty:
            pass
        else:
            running.discard(stream)
            if isinstance(error, EmotionStreamError):
                on_error(error)
            elif error is not None:
                bug = bug or error
                stop.set()
        if all(stream.heartbeat.silent_s < SILENCE_LIMIT_S for stream in running):
            health.beat()
        if running and all(stream.ready.is_set() for stream in running):
            health.ready()
        if stop.is_set():
            give_up_s = give_up_s or time.monotonic() + SHUTDOWN_GRACE_S
            if running and time.monotonic() > give_up_s:
                names = ", ".join(sorted(stream.source.id for stream in running))
                on_error(StillRunning(f"{names}: did not stop within {SHUTDOWN_GRACE_S:g} s"))
                break
    if bug is not None:
        raise bug
