"""Publishes JPEGs from memory, as a producer does; started by `tests.benchmarks.gpu.server`.

``python -m tests.benchmarks.gpu.feed URL FILE SOURCE FRAMES RATE``: FILE is a pickle of JPEGs, RATE
in frames/s, 0 = as fast as the workers (lossless); otherwise live.
"""

from __future__ import annotations

import pickle
import sys
import threading
import time
from pathlib import Path

from prometheus_client import CollectorRegistry

from contract.connect import connect
from contract.jpeg import jpeg_size
from contract.layout_watch import LayoutWatch
from contract.partitions import Layout
from producer.encode import Jpeg
from producer.heartbeat import Heartbeat
from producer.metrics import ProducerMetrics
from producer.publish import Publisher


def main(url: str, file: str, source: str, frames: int, rate: float) -> None:
    jpegs = [Jpeg(data, *jpeg_size(data)) for data in pickle.loads(Path(file).read_bytes())]
    client = connect(url, retries=0)
    publisher = Publisher(
        client,
        LayoutWatch(client, "emotion", Layout(), says=True),
        source,
        mode="live" if rate else "lossless",
        metrics=ProducerMetrics(CollectorRegistry(), [source]),
        heartbeat=Heartbeat(threading.Event()),
        max_backlog=2048,
        max_age_ns=10**10 if rate else None,
    )
    publisher.open_session(frames)
    began_s = time.monotonic()
    for seq in range(frames):
        if rate:
            time.sleep(max(0.0, began_s + seq / rate - time.monotonic()))
        publisher.publish(jpegs[seq % len(jpegs)], captured_at_ns=time.time_ns(), pts_ns=None)
    publisher.close_session("ended")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
