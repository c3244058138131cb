"""Many cameras in one process, told on stdin how many: `Publisher` for real, small pictures.

``python -m tests.scaling.cameras --redis URL --prefix P --fps N`` reads lines: ``cameras N`` lets
so many run, each with a session of its own, and ``burst N`` sends N frames of one more source at
once. Each is answered by a line of JSON when it is done: frames sent so far, and frames left out
because this process was more than half a second late. The end of stdin ends it.
"""

from __future__ import annotations

import argparse
import json
import selectors
import sys
import threading
import time
from dataclasses import dataclass
from typing import TextIO

import cv2
import numpy as np
import redis
from prometheus_client import CollectorRegistry

from contract.connect import connect
from contract.keys import Keys
from contract.layout_watch import LayoutWatch
from contract.partitions import Layout
from contract.process.logs import configure_logs
from producer.encode import Jpeg, encode_jpeg
from producer.heartbeat import Heartbeat
from producer.metrics import ProducerMetrics
from producer.publish import Publisher

_MOST_CAMERAS = 64
_LATE_S = 0.5


@dataclass(slots=True)
class Camera:
    """One open session, and when its next frame is due (monotonic seconds)."""

    publisher: Publisher
    due_s: float


class Cameras:
    """The cameras that run just now; frames are never dropped (lossless), so all can be counted."""

    def __init__(self, client: redis.Redis, keys: Keys, fps: float, max_backlog: int) -> None:
        self._client = client
        self._keys = keys
        self._period_s = 1 / fps
        self._max_backlog = max_backlog
        self._stop = threading.Event()
        names = [self._name(place) for place in range(_MOST_CAMERAS)]
        self._metrics = ProducerMetrics(CollectorRegistry(), [*names, "burst"])
        self._running: list[Camera] = []
        self._jpeg = _picture()
        self.sent = 0
        self.left_out = 0

    def run(self, count: int) -> None:
        """Let `count` cameras run: open or close as many as it takes."""
        while len(self._running) > count:
            self._running.pop().publisher.close_session("ended")
        now_s = time.monotonic()
        while len(self._running) < count:
            place = len(self._running)
            # Spread over a period: cameras do not expose at the same moment.
            offset_s = self._period_s * (place * 7 % 20) / 20
            self._running.append(Camera(self._open(self._name(place)), now_s + offset_s))

    def burst(self, frames: int) -> None:
        """Frames of one more source, as fast as it goes."""
        publisher = self._open("burst")
        for _ in range(frames):
            self._send(publisher)
        publisher.close_session("ended")

    def send_due(self) -> float:
        """Send what is due; returns how many seconds there are until the next is."""
        for camera in self._running:
            late_s = time.monotonic() - camera.due_s
            if late_s < 0:
                continue
            if late_s > _LATE_S:
                missed = int(late_s / self._period_s)
                self.left_out += missed
                camera.due_s += missed * self._period_s
            self._send(camera.publisher)
            camera.due_s += self._period_s
        if not self._running:
            return 1.0
        return max(0.0, min(camera.due_s for camera in self._running) - time.monotonic())

    def _open(self, source: str) -> Publisher:
        publisher = Publisher(
            self._client,
            LayoutWatch(self._client, self._keys.prefix, Layout(), says=True),
            source,
            mode="lossless",
            metrics=self._metrics,
            heartbeat=Heartbeat(self._stop),
            max_backlog=self._max_backlog,
        )
        publisher.open_session(None)
        return publisher

    def _send(self, publisher: Publisher) -> None:
        publisher.publish(self._jpeg, captured_at_ns=time.time_ns(), pts_ns=None)
        self.sent += 1

    def _name(self, place: int) -> str:
        return f"camera-{place:02d}"


def _picture() -> Jpeg:
    image = np.full((48, 64, 3), 90, np.uint8)
    cv2.circle(image, (32, 24), 12, (200, 180, 160), -1)
    return encode_jpeg(image, max_width=64, quality=80)


def main() -> int:
    parser = argparse.ArgumentParser(prog="cameras", description=__doc__)
    parser.add_argument("--redis", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--fps", type=float, required=True)
    parser.add_argument("--max-backlog", type=int, default=20_000)
    options = parser.parse_args()
    configure_logs("cameras", "error")
    client = connect(options.redis, retries=0)
    cameras = Cameras(client, Keys(options.prefix), options.fps, options.max_backlog)
    with client, selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            if selector.select(cameras.send_due()) and not _obey(cameras, sys.stdin):
                return 0


def _obey(cameras: Cameras, commands: TextIO) -> bool:
    """One command; False at the end."""
    words = commands.readline().split()
    match words:
        case []:
            cameras.run(0)
        case ["cameras", count]:
            cameras.run(int(count))
        case ["burst", count]:
            cameras.burst(int(count))
        case _:
            raise SystemExit(f"cameras: expected cameras N or burst N, got {' '.join(words)!r}")
    print(json.dumps({"sent": cameras.sent, "left_out": cameras.left_out}), flush=True)
    return bool(words)


if __name__ == "__main__":
    sys.exit(main())
