"""Several batches under way at once, on a real server: nothing is lost, doubled or out of order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
import redis

from contract.frame import FrameMessage
from contract.snapshot import read_snapshot
from tests.integration.test_worker_loop import (
    KEYS,
    ScriptedAnalyser,
    events,
    is_settled,
    publish,
    running,
)
from worker.lease import LeaseKeeper
from worker.outcome import Outcome
from worker.partitions import PartitionedQueue

pytestmark = pytest.mark.both_servers


class GatedAnalyser(ScriptedAnalyser):
    """Every batch waits until its first seq is let go; `hold` none and it is as fast as it can."""

    def __init__(self, lanes: int, hold: Sequence[int] = (), raises: Sequence[int] = ()) -> None:
        super().__init__(raises=raises)
        self.lanes = lanes
        self.inside: list[int] = []
        self._gates = {seq: threading.Event() for seq in hold}

    def let_go(self, *seqs: int) -> None:
        for seq in seqs:
            self._gates[seq].set()

    def analyse(self, frames: Sequence[FrameMessage]) -> list[Outcome]:
        first = frames[0].seq
        self.inside.append(first)
        if first in self._gates:
            assert self._gates[first].wait(20)
        return super().analyse(frames)


def test_lanes_work_at_the_same_time_and_events_keep_their_order(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 12)
    analyser = GatedAnalyser(2, hold=[0, 2])
    with running(redis_url, analyser, batch_size=4):
        wait_until(lambda: set(analyser.inside) >= {0, 2})  # the first four, shared by two lanes
        analyser.let_go(2)  # the later half is done first, and everything behind it
        wait_until(lambda: len(analyser.inside) >= 4)
        assert events(redis_client) == []
        analyser.let_go(0)
        wait_until(is_settled(redis_client, 12))
    assert [event.seq for event in events(redis_client)] == list(range(12))


def test_a_lone_frame_starts_at_once_and_batches_fill_while_the_lanes_are_busy(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    analyser = GatedAnalyser(1, hold=[0])
    with running(redis_url, analyser, batch_size=8):
        publish(redis_client, 1)
        wait_until(lambda: analyser.inside == [0])
        for seq in range(1, 21):
            publish(redis_client, 1, start=seq)
        wait_until(lambda: read_snapshot(redis_client, KEYS).pending == 9)  # read, one batch ahead
        analyser.let_go(0)
        wait_until(is_settled(redis_client, 21))
    assert [len(batch) for batch in analyser.batches] == [1, 8, 8, 4]


def test_a_batch_that_fails_in_one_lane_harms_none_in_another(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 20)
    analyser = GatedAnalyser(2, hold=[0], raises=[3])
    with running(redis_url, analyser, batch_size=4, max_attempts=2):
        wait_until(lambda: 2 in analyser.inside)
        analyser.let_go(0)
        wait_until(is_settled(redis_client, 20))
    assert sorted(event.seq for event in events(redis_client)) == [
        seq for seq in range(20) if seq != 3
    ]
    assert analyser.batches.count([3]) == 2
    assert read_snapshot(redis_client, KEYS).dead == 1


def test_what_the_lanes_have_in_hand_is_settled_before_the_end(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    publish(redis_client, 40)
    analyser = GatedAnalyser(3, hold=[0, 3])
    with running(redis_url, analyser, batch_size=9):
        wait_until(lambda: set(analyser.inside) >= {0, 3})
        threading.Timer(0.1, analyser.let_go, [0, 3]).start()
    snapshot = read_snapshot(redis_client, KEYS)
    assert (snapshot.pending, snapshot.unaccounted) == (0, 0)
    assert snapshot.events >= 9


def test_a_lane_that_hangs_is_noticed_though_others_go_on(
    redis_url: str, redis_client: redis.Redis, wait_until: Callable[..., None]
) -> None:
    hung = threading.Event()

    def impatient(queue: PartitionedQueue) -> LeaseKeeper:
        return LeaseKeeper(queue, every_s=0.02, longest_s=0.5, on_hang=hung.set)

    publish(redis_client, 4)
    analyser = GatedAnalyser(2, hold=[0])
    with running(redis_url, analyser, batch_size=2, leases=impatient):
        wait_until(lambda: 0 in analyser.inside)
        wait_until(hung.is_set)
        assert len(analyser.inside) > 1
        analyser.let_go(0)
        wait_until(is_settled(redis_client, 4))
