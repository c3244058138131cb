"""Frames for the page, read along from the frames streams without anybody noticing.

No consumer group: what is read here is neither taken from a worker nor held for one. A frame that
a worker was done with before we came is not missed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from consumer.view.hub import Hub
from consumer.view.pace import Pace
from contract.connect import MAX_BLOCK_S, connect, explained, is_cluster
from contract.errors import DecodeError, EmotionStreamError
from contract.frame import FrameMessage
from contract.keys import Keys
from contract.layout_watch import LayoutWatch
from contract.partitions import read_layout
from contract.wire import Entry

if TYPE_CHECKING:
    import redis

_log = structlog.get_logger()

_AT_ONCE = 4  # entries of a stream in one reply
_LOOK_UP_S = 0.2
_RETRY_S = 1.0


def tap(url: str, prefix: str, fps: float, hub: Hub, stop: threading.Event) -> None:
    """Until `stop` is set, and only while a page is open: at most `fps` frames of each source a
    second. Redis in trouble is left alone for a moment; the page hears of it by other ways."""
    while not stop.is_set():
        if not hub.watched.wait(_LOOK_UP_S):
            continue
        try:
            client = connect(url, retries=0)
            try:
                with explained(url):
                    _tap(client, url, prefix, fps, hub, stop)
            finally:
                client.close()
        except EmotionStreamError as error:
            _log.debug("no frames", error=str(error))
            stop.wait(_RETRY_S)


def _tap(
    client: redis.Redis, url: str, prefix: str, fps: float, hub: Hub, stop: threading.Event
) -> None:
    layout = read_layout(client, prefix)
    if layout is None:  # no producer yet, so no frames
        stop.wait(_LOOK_UP_S)
        return
    with LayoutWatch(client, prefix, layout, says=False) as layouts:
        _tap_all(client, url, layouts, fps, hub, stop)


def _tap_all(
    client: redis.Redis,
    url: str,
    layouts: LayoutWatch,
    fps: float,
    hub: Hub,
    stop: threading.Event,
) -> None:
    """Until nobody looks any more, or the layout is another one."""
    number = layouts.layout.streams
    if not is_cluster(client) or number == 1:
        _FramesTap(client, layouts, range(number), fps, hub, stop).run()
        return
    # A cluster has no read that waits in two slots.
    failures: list[Exception] = []

    def follow(partition: int) -> None:
        try:
            with explained(url):
                _FramesTap(client, layouts, [partition], fps, hub, stop).run()
        except EmotionStreamError as error:
            failures.append(error)

    threads = [
        threading.Thread(target=follow, args=(partition,), name=f"tap {partition}", daemon=True)
        for partition in range(number)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class _FramesTap:
    """Reads along in some of the partitions, by one blocking read for all of them."""

    def __init__(
        self,
        client: redis.Redis,
        layouts: LayoutWatch,
        partitions: Sequence[int],
        fps: float,
        hub: Hub,
        stop: threading.Event,
    ) -> None:
        self._client = client
        self._partitions = frozenset(partitions)
        self._layouts = layouts
        self._layout = layouts.layout
        self._keys = [Keys(layouts.prefix, partition).frames for partition in partitions]
        self._pace = Pace(fps)
        self._hub = hub
        self._stop = stop

    def run(self) -> None:
        """Burst after burst, until nobody looks any more, or the layout is another one. Raises
        redis's own errors."""
        while self._goes_on():
            pause_s = self._pace.pause_s(time.monotonic())
            if pause_s:
                self._stop.wait(min(pause_s, _LOOK_UP_S))
                continue
            self._burst()

    def _goes_on(self) -> bool:
        same = self._layouts.layout == self._layout
        return same and self._hub.watched.is_set() and not self._stop.is_set()

    def _burst(self) -> None:
        expected = {
            source
            for source in self._hub.playing()
            if self._layout.partition_of(source) in self._partitions
        }
        self._pace.begin(expected, time.monotonic())
        after: dict[Any, Any] = dict.fromkeys(self._keys, "$")
        while self._pace.room and not self._stop.is_set():
            left_s = self._pace.left_s(time.monotonic())
            if not left_s:
                return
            found: Any = self._client.xread(
                after,
                count=min(_AT_ONCE, self._pace.room),
                block=max(1, round(min(left_s, MAX_BLOCK_S) * 1000)),
            )
            for key, entries in found or ():
                after[key.decode()] = entries[-1][0]
                for _, entry in entries:
                    self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        self._pace.read(sum(map(len, entry.values())))
        with suppress(DecodeError):  # a worker buries it and says why
            frame = FrameMessage.decode(entry)
            if self._pace.is_first(frame.source):
                self._hub.put_frame(frame)
