"""A camera and its worker in one, which publish frame by frame when they are told to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import redis

from contract.event import Box, EmotionEvent, FaceEmotion, SourceRecord, SourceState
from contract.frame import FrameMessage
from contract.keys import DEFAULT_PREFIX, PARTITIONS, Keys, config_key, partition_of


def jpeg(shade: int) -> bytes:
    """A gray picture of 64x48."""
    done, data = cv2.imencode(".jpg", np.full((48, 64, 3), shade, np.uint8))
    assert done
    return data.tobytes()


class Camera:
    """Frames of session "s1" and their events, each with the same face, published by hand."""

    def __init__(
        self,
        client: redis.Redis,
        name: str = "cam",
        *,
        partitions: int = 1,
        prefix: str = DEFAULT_PREFIX,
    ) -> None:
        self._client = client
        self.name = name
        self._keys = Keys(prefix, partition_of(name, partitions))
        self._seq = 0
        client.hset(config_key(prefix), PARTITIONS, str(partitions))

    def record(self, state: SourceState, session: str = "s1") -> None:
        taken = self._seq if session == "s1" else 0
        frames = None if state == "started" else taken
        record = SourceRecord(self.name, session, state, time.time_ns(), frames)
        self._client.xadd(self._keys.events, {b"m": record.encode()})

    def shoot(self) -> None:
        """One frame into the stream, out of it again, and its event."""
        now_ns = time.time_ns()
        frame = FrameMessage(
            self.name, "s1", self._seq, now_ns, None, 64, 48, jpeg(self._seq % 256)
        )
        entry = self._client.xadd(self._keys.frames, {b"m": frame.encode()})
        scores = {"happiness": 0.9, "neutral": 0.1}
        face = FaceEmotion(Box(10, 5, 40, 45), 0.99, "happiness", scores, 0.729, 0.459, 0.5)
        event = EmotionEvent(
            self.name, "s1", self._seq, now_ns, None, time.time_ns(), 64, 48, "m@1", (face,)
        )
        self._client.xdel(self._keys.frames, entry)
        self._client.xadd(self._keys.events, {b"m": event.encode()})
        self._seq += 1

    @contextmanager
    def running(self, fps: float = 50.0) -> Iterator[None]:
        """It films during the block."""
        stop = threading.Event()

        def film() -> None:
            while not stop.wait(1 / fps):
                self.shoot()

        thread = threading.Thread(target=film, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(10)
