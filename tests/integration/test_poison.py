"""Frames that bring workers down: each is found, tried alone, buried, and nobody else pays."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
import redis

from contract import keys as names
from contract import wire
from contract.event import EmotionEvent, decode_record
from contract.frame import FrameMessage
from contract.keys import Keys
from contract.snapshot import read_snapshot
from tests.integration.processes import RoleProcess
from tests.poison import EXIT_CODE, How, poisoned
from tests.unit.strategies import jpeg
from worker.dead.letters import DeadLetters

pytestmark = pytest.mark.both_servers

KEYS = Keys()
PICTURE = jpeg(16, 16)
POISONS: dict[int, How] = {3: "kill", 7: "raise", 12: "exit"}
BATCH = 16
MAX_ATTEMPTS = 3


def publish(client: redis.Redis) -> None:
    for seq in range(BATCH):
        image = poisoned(PICTURE, POISONS[seq]) if seq in POISONS else PICTURE
        frame = FrameMessage("cam", "s", seq, time.time_ns(), None, 16, 16, image)
        client.xadd(KEYS.frames, {wire.FIELD: frame.encode()})
        client.hincrby(KEYS.stats, names.PUBLISHED, 1)


def is_settled(client: redis.Redis) -> bool:
    return read_snapshot(client, KEYS).backlog == 0


def has_ended_or_settled(worker: RoleProcess, client: redis.Redis) -> bool:
    return not worker.is_running or is_settled(client)


def run_until_settled(
    client: redis.Redis, url: str, wait_until: Callable[..., None]
) -> Counter[int]:
    """Start a worker, and another whenever it ends, as an orchestrator does; how they ended."""
    ends: Counter[int] = Counter()
    while not is_settled(client):
        with RoleProcess(
            "tests.paced_worker", "--redis", url, "--batch-size", str(BATCH),
            "--max-attempts", str(MAX_ATTEMPTS), environment={"PACED_LEASE_S": "1"},
        ) as worker:  # fmt: skip
            wait_until(partial(has_ended_or_settled, worker, client))
            if worker.is_running:
                worker.send(signal.SIGTERM)
            ends[worker.wait()] += 1
    return ends


def test_exactly_the_frames_that_bring_workers_down_are_buried(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    publish(redis_client)
    ends = run_until_settled(redis_client, redis_url, wait_until)

    # All that is in hand dies of seq 3 or 12, whichever lane is first; then each, alone.
    first = {-signal.SIGKILL: 1} if ends[-signal.SIGKILL] > MAX_ATTEMPTS else {EXIT_CODE: 1}
    alone_each = {-signal.SIGKILL: MAX_ATTEMPTS, EXIT_CODE: MAX_ATTEMPTS, 0: 1}
    assert ends == Counter(alone_each) + Counter(first)
    letters = {
        letter.frame_id(): (letter.reason, letter.attempts, letter.detail)
        for letter in DeadLetters(redis_client, [KEYS]).newest_first()
    }
    alone = f"not settled in {MAX_ATTEMPTS} attempts alone"
    assert letters == {
        ("cam", "s", 3): ("attempts", MAX_ATTEMPTS, alone),
        ("cam", "s", 7): ("error", MAX_ATTEMPTS, "RuntimeError: the codec says no"),
        ("cam", "s", 12): ("attempts", MAX_ATTEMPTS, alone),
    }
    events = [decode_record(entry) for _, entry in redis_client.xrange(KEYS.events)]
    seqs = sorted(event.seq for event in events if isinstance(event, EmotionEvent))
    assert seqs == [seq for seq in range(BATCH) if seq not in POISONS]  # and nothing twice
    snapshot = read_snapshot(redis_client, KEYS)
    assert (snapshot.published, snapshot.events, snapshot.dead) == (BATCH, BATCH - 3, 3)
    assert (snapshot.unaccounted, snapshot.pending) == (0, 0)
    assert redis_client.exists(KEYS.attempts) == 0
