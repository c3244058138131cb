"""A producer whose pictures break codecs: `Publisher` for real, fed by hand."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np
from prometheus_client import CollectorRegistry

from contract.connect import connect
from contract.layout_watch import LayoutWatch
from contract.partitions import Layout
from producer.encode import Jpeg
from producer.heartbeat import Heartbeat
from producer.metrics import ProducerMetrics
from producer.publish import Publisher
from tests.poison import How, poisoned

SOURCE = "poison"
_SIDE_PX = 32


class Poisoner:
    """Sends poison frames of its own source, from a thread of its own: one that has to move waits
    for workers, who wait for whoever starts them again. `sent` is frame id -> what it does to a
    codec; complete once `is_idle`."""

    def __init__(self, url: str, prefix: str, *, max_backlog: int) -> None:
        self._client = connect(url, retries=0)
        self._stop = threading.Event()
        self._layouts = LayoutWatch(self._client, prefix, Layout(), says=True)
        self._publisher = Publisher(
            self._client,
            self._layouts,
            SOURCE,
            mode="lossless",
            metrics=ProducerMetrics(CollectorRegistry(), [SOURCE]),
            heartbeat=Heartbeat(self._stop),
            max_backlog=max_backlog,
        )
        ok, data = cv2.imencode(".jpg", np.full((_SIDE_PX, _SIDE_PX, 3), 90, np.uint8))
        assert ok
        self._picture = data.tobytes()
        self._thread = ThreadPoolExecutor(1, "poisoner")
        self._work: list[Future[None]] = []
        self.sent: dict[str, str] = {}
        self._layouts.start()
        self._work.append(self._thread.submit(self._open))

    @property
    def is_idle(self) -> bool:
        """Whether all frames were sent. Raises what stood in the way of one."""
        return all(work.done() and work.result() is None for work in self._work)

    def send(self, how: How | str) -> None:
        """One frame, soon; "broken" is a picture that no codec can decode."""
        self._work.append(self._thread.submit(self._send, how))

    def end(self) -> None:
        """No more frames, and no more of the source, soon."""
        self._work.append(self._thread.submit(self._publisher.close_session, "ended"))

    def close(self) -> None:
        self._stop.set()
        self._layouts.close()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _open(self) -> None:
        assert self._publisher.open_session(None)

    def _send(self, how: How | str) -> None:
        if how == "broken":
            head = self._picture.index(b"\xff\xda")  # the header is whole, the picture is not there
            data = self._picture[:head]
        else:
            data = poisoned(self._picture, how)  # type: ignore[arg-type]
        jpeg = Jpeg(data, _SIDE_PX, _SIDE_PX)
        published = self._publisher.publish(jpeg, captured_at_ns=time.time_ns(), pts_ns=None)
        assert published is not None
        self.sent[f"{SOURCE}/{published.session}/{published.seq}"] = how
