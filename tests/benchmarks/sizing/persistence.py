"""What each way to keep Redis' data on disk costs a frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis
from prometheus_client import CollectorRegistry

from consumer.percentiles import Percentiles
from contract.frame import FrameMessage
from contract.jpeg import jpeg_size
from contract.keys import Keys
from contract.layout_watch import LayoutWatch
from contract.partitions import Layout
from contract.wire import FIELD
from producer.encode import Jpeg
from producer.heartbeat import Heartbeat
from producer.metrics import ProducerMetrics
from producer.publish import Publisher
from tests.benchmarks.sizing.fill import event_messages, frame_messages
from worker.delivery import Settlement
from worker.frames import RedisFrameQueue

_OFF = ("--appendonly", "no")
MODES: Mapping[str, tuple[str, ...]] = {
    "nothing": _OFF,
    "AOF, everysec": ("--appendfsync", "everysec"),
    "AOF, always": ("--appendfsync", "always"),
}
_KEYS = Keys()
_WARM = 20


@dataclass(frozen=True, slots=True)
class Persistence:
    """Of one frame: the server's CPU, bytes in the append-only file, and how long producer and
    worker wait for their replies."""

    mode: str
    server_ms: float
    disk_bytes: float
    publish: Percentiles
    settle: Percentiles


def measure_mode(client: redis.Redis, mode: str, frames: int) -> Persistence:
    """Publish and settle so many, one at a time, with an event of one face."""
    jpegs = [
        Jpeg(frame.image, *jpeg_size(frame.image))
        for frame in (FrameMessage.decode({FIELD: message}) for message in frame_messages(1280, 32))
    ]
    event = event_messages(1, 8)[-5]
    publisher = Publisher(
        client, LayoutWatch(client, _KEYS.prefix, Layout(), says=True), "camera",
        mode="live", max_age_ns=10**10,
        metrics=ProducerMetrics(CollectorRegistry(), ["camera"]),
        heartbeat=Heartbeat(threading.Event()),
    )  # fmt: skip
    queue = RedisFrameQueue(client, _KEYS, "bench")
    publisher.open_session(None)
    sending: list[float] = []
    settling: list[float] = []
    for number in range(_WARM + frames):
        if number == _WARM:
            begin = _look(client)
        began_s = time.perf_counter()
        publisher.publish(jpegs[number % len(jpegs)], captured_at_ns=time.time_ns(), pts_ns=None)
        sent_s = time.perf_counter()
        deliveries = queue.read(1, 0.5)
        read_s = time.perf_counter()
        queue.settle([Settlement(delivery, "event", event) for delivery in deliveries])
        sending.append(sent_s - began_s)
        settling.append(time.perf_counter() - read_s)
    end = _look(client)
    publish, settle = Percentiles.of(sending[_WARM:]), Percentiles.of(settling[_WARM:])
    assert publish is not None and settle is not None, "there were frames"
    return Persistence(
        mode=mode,
        server_ms=1e3 * (end[0] - begin[0]) / frames,
        disk_bytes=(end[1] - begin[1]) / frames,
        publish=publish,
        settle=settle,
    )


def _look(client: redis.Redis) -> tuple[float, int]:
    """The server's CPU seconds, and bytes of its file."""
    cpu: Any = client.info("cpu")
    disk: Any = client.info("persistence")
    return cpu["used_cpu_user"] + cpu["used_cpu_sys"], disk.get("aof_current_size", 0)
