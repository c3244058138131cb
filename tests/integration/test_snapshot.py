"""What a partition's hashes hold is read, or refused by name: never a traceback."""

from __future__ import annotations

import contextlib

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from contract import keys as names
from contract.connect import connect
from contract.errors import DecodeError
from contract.keys import Keys
from contract.snapshot import Snapshot, read_snapshot
from worker.frames import RedisFrameQueue
from worker.metrics import PartitionCollector
from worker.partitions import PartitionedQueue

pytestmark = pytest.mark.both_servers

KEYS = Keys()

fields = st.sampled_from(
    [names.PUBLISHED, names.EVENTS, names.DEAD_BYTES, f"{names.DROPPED}stale", "later"]
).map(str.encode) | st.binary(max_size=20)
counts = st.integers(-(2**63), 2**63 - 1).map(lambda count: str(count).encode())
fence_parts = st.text(st.characters(exclude_characters=":"), max_size=8)
fences = st.builds(
    lambda parts: ":".join(parts).encode(errors="replace"),
    st.lists(fence_parts | st.integers().map(str), min_size=3, max_size=6),
)


@given(
    st.dictionaries(fields, counts | st.binary(max_size=20), max_size=4),
    st.dictionaries(st.binary(max_size=20), fences | st.binary(max_size=20), max_size=3),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_hashes_are_a_snapshot_or_refused(
    redis_url: str, stats: dict[bytes, bytes], fence: dict[bytes, bytes]
) -> None:
    with connect(redis_url) as client:
        client.flushall()
        for key, mapping in ((KEYS.stats, stats), (KEYS.fence, fence)):
            if mapping:
                client.hset(key, mapping=mapping)  # type: ignore[arg-type]
        with contextlib.suppress(DecodeError):
            assert isinstance(read_snapshot(client, KEYS), Snapshot)


@pytest.mark.parametrize(
    ("key", "field", "value", "text"),
    [
        (KEYS.stats, "events", "many", "stats: b'events': expected an integer, got b'many'"),
        (KEYS.fence, "cam", "1:s:x:started:5", "fence: b'cam': expected epoch:session:seq:state"),
        (KEYS.fence, "cam", "1:s:0", "fence: b'cam': expected epoch:session:seq:state:at_ns, got"),
        (KEYS.fence, b"\xff", "1:s:0:started:5", r"fence: b'\xff': expected epoch"),
    ],
)
def test_a_strange_field_is_named_and_a_scrape_goes_on(
    redis_client: redis.Redis, key: str, field: str, value: str, text: str
) -> None:
    redis_client.hset(key, field, value)
    with pytest.raises(DecodeError) as caught:
        read_snapshot(redis_client, KEYS)
    assert text in str(caught.value)
    registry = CollectorRegistry()
    queue = PartitionedQueue(
        lambda _: RedisFrameQueue(redis_client, KEYS, "w"),
        lambda: 1,
        shared=True,
        timeout_s=1.0,
        on_settled=lambda _item, _ours: None,
        on_outage=lambda: None,
        pause=lambda _seconds: None,
    )
    registry.register(PartitionCollector(queue.report))
    assert generate_latest(registry) == b""


def test_names_of_strangers_can_be_shown(redis_client: redis.Redis) -> None:
    redis_client.hset(KEYS.fence, "\x1b[2Jcam", "1:\x1b]0;s:0:started:5")
    (source,) = read_snapshot(redis_client, KEYS).sources
    assert (source.source, source.session) == ("\ufffd[2Jcam", "\ufffd]0;s")
