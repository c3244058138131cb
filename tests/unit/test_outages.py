"""Of several places one may be away, and the others are not to wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import redis
from redis.exceptions import RedisClusterException

from contract.connect import is_passing
from contract.errors import BrokerError, BrokerUnavailable
from contract.outage import Outages

GONE = redis.ConnectionError("gone")


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Server:
    """Hangs until it `answers`."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.answers = threading.Event()

    def __call__(self, place: int) -> None:
        self.asked.append(place)
        if not self.answers.is_set():
            raise redis.TimeoutError("timeout")


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def outages(clock: Clock, server: Server) -> Iterator[Outages]:
    outages = Outages("worker", 60.0, server, shared=False, clock=clock)
    outages.add("partition 0")
    outages.add("partition 1")
    yield outages
    outages.close()


def test_a_place_that_failed_is_left_out_until_it_is_due(outages: Outages, clock: Clock) -> None:
    assert outages.usable() == [0, 1]
    outages.failed(1, GONE, clock.now_s)
    assert outages.usable() == [0]
    assert outages.wait_s() == 0.0
    clock.now_s += 3.0
    assert outages.usable() == [0, 1]
    assert outages.answered(1)
    assert not outages.answered(1)


def test_one_that_hangs_costs_the_others_no_second_call(
    outages: Outages, clock: Clock, server: Server, wait_until: Callable[..., None]
) -> None:
    began_s = clock.now_s
    clock.now_s += 5.0
    outages.failed(0, redis.TimeoutError("timeout"), began_s)
    clock.now_s += 1000.0
    wait_until(lambda: len(server.asked) >= 2)
    assert outages.usable() == [1]
    server.answers.set()
    wait_until(lambda: outages.usable() == [0, 1])
    assert set(server.asked) == {0}
    wait_until(lambda: not any(t.name == "probe 0" for t in threading.enumerate()))


def test_with_all_away_the_first_that_is_due_is_waited_for(outages: Outages, clock: Clock) -> None:
    outages.failed(0, GONE, clock.now_s)
    outages.failed(1, GONE, clock.now_s)
    assert outages.usable() == []
    wait_s = outages.wait_s()
    assert 0 < wait_s <= 0.05
    clock.now_s += wait_s
    assert outages.usable()


def test_it_gives_up_only_when_all_are_away_for_too_long(outages: Outages, clock: Clock) -> None:
    outages.failed(0, GONE, clock.now_s)
    clock.now_s += 1000.0
    outages.failed(0, GONE, clock.now_s)  # the other answers all the time
    outages.failed(1, GONE, clock.now_s)
    clock.now_s += 59.0
    outages.failed(1, GONE, clock.now_s)
    clock.now_s += 1.0
    with pytest.raises(BrokerUnavailable, match="worker: no Redis for 60 s: gone"):
        outages.failed(0, GONE, clock.now_s)


def test_places_on_one_server_are_away_together(clock: Clock, server: Server) -> None:
    outages = Outages("worker", 60.0, server, shared=True, clock=clock)
    for name in "01":
        outages.add(name)
    began_s = clock.now_s
    clock.now_s += 5.0
    outages.failed(1, redis.TimeoutError("timeout"), began_s)
    outages.add("2")
    assert outages.usable() == []  # no second time-out is spent on the same server
    assert outages.count == 1
    clock.now_s += 60.0
    with pytest.raises(BrokerUnavailable, match="worker: no Redis for 60 s"):
        outages.failed(0, GONE, clock.now_s)
    assert outages.answered(2)
    assert outages.usable() == [0, 1, 2]


def test_what_waiting_does_not_cure_is_an_error_at_once(outages: Outages, clock: Clock) -> None:
    with pytest.raises(BrokerError, match="worker, partition 1: Redis refused: WRONGTYPE"):
        outages.failed(1, redis.ResponseError("WRONGTYPE no"), clock.now_s)


def test_a_place_that_comes_later_is_one_of_them(outages: Outages, clock: Clock) -> None:
    outages.failed(0, GONE, clock.now_s)
    outages.add("partition 2")
    assert outages.usable() == [1, 2]
    outages.failed(2, GONE, clock.now_s)
    assert outages.usable() == [1]


def test_a_shared_server_is_called_by_no_partition(clock: Clock) -> None:
    outages = Outages("cam", None, print, shared=True, clock=clock)
    outages.add("partition 0")
    with pytest.raises(BrokerError, match=r"^cam: Redis refused"):
        outages.failed(0, redis.ResponseError("no"), clock.now_s)


def cluster_error(cause: Exception | None) -> Exception:
    error = RedisClusterException("Redis Cluster cannot be connected. Please provide at least one")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (redis.exceptions.ClusterDownError("CLUSTERDOWN The cluster is down"), True),
        (redis.exceptions.MasterDownError("MASTERDOWN Link with MASTER is down"), True),
        (redis.exceptions.SlotNotCoveredError('Slot "1" not covered by the cluster.'), True),
        (redis.exceptions.ClusterError("TTL exhausted."), True),
        (redis.exceptions.TryAgainError("TRYAGAIN Multiple keys request"), True),
        (redis.exceptions.ReadOnlyError("READONLY You can't write against a replica"), True),
        (redis.ResponseError("UNBLOCKED the stream key no longer exists"), True),
        (cluster_error(GONE), True),
        (cluster_error(redis.AuthenticationError("WRONGPASS no")), False),
        (RedisClusterException("EVALSHA - all keys must map to the same key slot"), False),
        (redis.ResponseError("CROSSSLOT Keys in request don't hash to the same slot"), False),
    ],
)
def test_what_a_fail_over_brings_passes_and_a_mistake_does_not(
    error: Exception, passes: bool
) -> None:
    assert is_passing(error) == passes
