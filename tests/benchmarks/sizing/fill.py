"""Fills a Redis with what the roles keep there."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import redis

from consumer.chain import Chain
from contract import wire
from contract.event import decode_record
from contract.frame import FrameMessage
from contract.keys import Keys
from producer.encode import encode_jpeg
from tests.benchmarks.consumer import make_stream
from tests.benchmarks.footage import SHIPPED
from tests.benchmarks.sizing.footage import HEIGHTS, surrounded
from tests.benchmarks.sizing.stream_memory import LETTER_BYTES, stream_bytes
from worker.delivery import Settlement
from worker.frames import RedisFrameQueue

QUALITY = 90  # the producer's
_SESSION = "20260101T000000Z-0123abcd"
_BATCH = 8
_AT_ONCE_BYTES = 2**20


def frame_messages(width: int, count: int, clip: Path = SHIPPED) -> list[bytes]:
    """`count` messages of frames of the clip, `width` pixels wide."""
    with av.open(str(clip)) as container:
        step = max(1, container.streams.video[0].frames // count)
        found = itertools.islice(container.decode(video=0), 0, step * count, step)
        pictures = [frame.to_ndarray(format="bgr24") for frame in found]
    messages = []
    for seq, image in enumerate(pictures):
        image = surrounded(image, width, HEIGHTS[width])
        jpeg = encode_jpeg(image, max_width=width, quality=QUALITY)
        now_ns = time.time_ns()
        frame = FrameMessage("lobby", _SESSION, seq, now_ns, 0, jpeg.width, jpeg.height, jpeg.data,
                             max_age_ns=10**10)  # fmt: skip
        messages.append(frame.encode())
    return messages


def event_messages(faces: int, count: int) -> list[bytes]:
    """`count` events with so many faces each, and the records around them."""
    return make_stream(count, faces)


def smoothed_messages(people: int, count: int) -> list[bytes]:
    """What `--publish` makes of `count` events with so many people."""
    chain, signals = Chain(), []
    for at, message in enumerate(make_stream(count, people)):
        signals += chain.put(decode_record({wire.FIELD: message}), at / 100)
    return [signal.encode() for signal in signals]


def add(client: redis.Redis, key: str, messages: Sequence[bytes], count: int) -> list[int]:
    """`count` entries, of `messages` over and over; returns their sizes."""
    sizes = []
    pipe, waiting = client.pipeline(transaction=False), 0
    for message in itertools.islice(itertools.cycle(messages), count):
        pipe.xadd(key, {wire.FIELD: message})
        sizes.append(len(message))
        waiting += len(message) + 200
        if waiting > _AT_ONCE_BYTES:
            pipe.execute()
            waiting = 0
    pipe.execute()
    return sizes


def bury(client: redis.Redis, keys: Keys, messages: Sequence[bytes], count: int) -> list[int]:
    """`count` dead letters of frames, over and over, by the worker's own script; as many are left
    as it keeps, whose sizes are returned."""
    queue = RedisFrameQueue(client, keys, "fill")
    for start in range(0, count, _BATCH):
        some = [messages[(start + at) % len(messages)] for at in range(min(_BATCH, count - start))]
        for message in some:
            client.xadd(keys.frames, {wire.FIELD: message})
        frames = queue.read(len(some), 0.5)
        queue.settle([Settlement(frame, "dead", "attempts", "three attempts") for frame in frames])
    queue.leave()
    kept: Any = client.xlen(keys.dead)
    sizes = [len(messages[at % len(messages)]) + LETTER_BYTES for at in range(count)]
    return sizes[count - kept :]


def predicted(sizes: Sequence[int]) -> float:
    """Bytes of memory for entries of these sizes."""
    return sum(stream_bytes(1, size) for size in sizes)


def used_memory(client: redis.Redis) -> int:
    memory: Any = client.info("memory")
    return int(memory["used_memory"])
