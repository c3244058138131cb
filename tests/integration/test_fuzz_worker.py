"""One real worker, real networks, and a stream full of what should not be in it.

`EMOTION_FUZZ_ENTRIES` says how many of those, `EMOTION_FUZZ_SEED` other entries.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from contract import keys as names
from contract.keys import Keys
from contract.snapshot import read_snapshot
from tests.integration.fuzz_entries import FuzzEntries
from tests.integration.processes import RoleProcess

KEYS = Keys()
ENTRIES = int(os.environ.get("EMOTION_FUZZ_ENTRIES", "40000"))
SEED = int(os.environ.get("EMOTION_FUZZ_SEED", "1"))
CHUNK = 2_000
FRAMES_A_CHUNK = 8  # that decode: the networks take about 30 ms for each
MOST_GROWTH_BYTES = 32 * 2**20
KEEP_DEAD = 500


def rss_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to see the worker's memory")
@pytest.mark.timeout(600)
def test_it_stays_up_and_settles_every_one(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    entries = FuzzEntries(SEED, time.time_ns())
    published = 0

    def settle_a_chunk() -> None:
        nonlocal published
        with redis_client.pipeline(transaction=False) as pipe:
            for entry in entries.take(CHUNK, FRAMES_A_CHUNK):
                flat = [part for pair in entry for part in pair]
                pipe.execute_command("XADD", KEYS.frames, "*", *flat)
            pipe.hincrby(KEYS.stats, names.PUBLISHED, CHUNK)
            pipe.execute()
        published += CHUNK
        wait_until(lambda: redis_client.xlen(KEYS.frames) == 0, 120, "no backlog")

    with RoleProcess(
        "worker", "--redis", redis_url, "--keep-dead", str(KEEP_DEAD), "--metrics-port", "0"
    ) as worker:
        worker.log("ready")
        for _ in range(2):  # the first frames of each size and fault take memory for good
            settle_a_chunk()
        before_bytes = rss_bytes(worker.pid)
        while published < ENTRIES:
            settle_a_chunk()
        grown_bytes = rss_bytes(worker.pid) - before_bytes
        assert worker.is_running
        worker.send(signal.SIGTERM)
        assert worker.wait(15) == 0
        assert grown_bytes < MOST_GROWTH_BYTES
        assert not any("Traceback" in line for line in worker.lines)
        assert len(worker.lines) < 300

    snapshot = read_snapshot(redis_client, KEYS)
    assert (snapshot.published, snapshot.settled) == (published, published)
    assert (snapshot.backlog, snapshot.pending, snapshot.unaccounted) == (0, 0, 0)
    assert snapshot.events > 0
    assert snapshot.dropped["stale"] > 0
    assert snapshot.dead_letters == KEEP_DEAD
    assert redis_client.exists(KEYS.attempts) == 0
    reasons = {letter[b"reason"] for _, letter in redis_client.xrange(KEYS.dead)}
    assert reasons >= {b"malformed", b"missing", b"version", b"image"}
    print(f"{published:,} entries, {snapshot.events} events, {grown_bytes / 2**20:.1f} MiB grown")
