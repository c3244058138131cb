"""A producer whose pictures break codecs: `Publisher` for real, fed by hand."""

from __future__ import annotations

import threading
import time

import cv2
import numpy as np
from prometheus_client import CollectorRegistry

from contract.connect import connect
from contract.keys import Keys
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
    """Sends poison frames of its own source. `sent` is frame id -> what it does to a codec."""

    def __init__(self, url: str, keys: Keys, *, max_backlog: int) -> None:
        self._client = connect(url, retries=0)
        self._stop = threading.Event()
        self._publisher = Publisher(
            self._client,
            LayoutWatch(self._client, keys.prefix, Layout(), says=True),
            SOURCE,
            mode="lossless",
            metrics=ProducerMetrics(CollectorRegistry(), [SOURCE]),
            heartbeat=Heartbeat(self._stop),
            max_backlog=max_backlog,
        )
        ok, data = cv2.imencode(".jpg", np.full((_SIDE_PX, _SIDE_PX, 3), 90, np.uint8))
        assert ok
        self._picture = data.tobytes()
        self._publisher.open_session(None)
        self.sent: dict[str, str] = {}

    def send(self, how: How | str) -> None:
        """One frame; "broken" is a picture that no codec can decode."""
        if how == "broken":
            head = self._picture.index(b"\xff\xda")  # the header is whole, the picture is not there
            data = self._picture[:head]
        else:
            data = poisoned(self._picture, how)  # type: ignore[arg-type]
        jpeg = Jpeg(data, _SIDE_PX, _SIDE_PX)
        published = self._publisher.publish(jpeg, captured_at_ns=time.time_ns(), pts_ns=None)
        assert published is not None
        self.sent[f"{SOURCE}/{published.session}/{published.seq}"] = how

    def close(self) -> None:
        self._publisher.close_session("ended")
        self._stop.set()
        self._client.close()
