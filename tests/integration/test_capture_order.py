"""Three worker processes finish out of order; what comes out is in order again."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import redis

from consumer import EventReader
from consumer.order import Order, in_order
from consumer.timeline import Timeline
from contract.event import EmotionEvent, Record, SourceRecord, decode_record
from contract.keys import Keys
from tests.integration.processes import RoleProcess, run_role

KEYS = Keys()
SOURCES = ("left", "right")
PATIENCE_S = 30.0  # far more than a loaded machine needs: nothing may be late here


def published(client: redis.Redis) -> list[Record]:
    return [decode_record(entry) for _, entry in client.xrange(KEYS.events)]


def steps_back(records: list[Record], source: str) -> int:
    """How often a source's frames go back to an earlier one."""
    seqs = [r.seq for r in records if isinstance(r, EmotionEvent) and r.source == source]
    return sum(later < earlier for earlier, later in itertools.pairwise(seqs))


def read_all(url: str, orders: Order | Timeline, ends: int) -> list[Record]:
    """Until so many sources have ended, as a program would that keeps its appointments."""
    out: list[Record] = []
    deadline_s = time.monotonic() + 2 * PATIENCE_S
    with EventReader(url, start="beginning") as reader:
        while sum(isinstance(r, SourceRecord) and r.state == "ended" for r in out) < ends:
            assert time.monotonic() < deadline_s, f"only {len(out)} records came"
            record = reader.next_record(timeout_s=0.02)
            now_s = reader.fetched_at_s
            out += orders.due(now_s) if record is None else orders.put(record, now_s)
    return out


def test_three_workers_out_of_order_and_each_source_in_order_again(
    redis_url: str,
    redis_client: redis.Redis,
    demo_clip: Path,
    wait_until: Callable[..., None],
) -> None:
    with ExitStack() as stack:
        service = ("--redis", redis_url, "--metrics-port", "0", "--batch-size", "4")
        workers = [
            stack.enter_context(
                RoleProcess(
                    "tests.paced_worker", *service, environment={"PACED_BATCH_S": str(batch_s)}
                )
            )
            for batch_s in (0.005, 0.03, 0.11)
        ]
        for worker in workers:
            worker.log("ready")
        for source in SOURCES:
            code, errors = run_role(
                "producer",
                [str(demo_clip), "--no-realtime", "--redis", redis_url, "--source-id", source],
            )
            assert code == 0, errors
        together = read_all(redis_url, timeline := Timeline(PATIENCE_S), ends=len(SOURCES))

    raw = published(redis_client)
    alone = read_all(redis_url, order := Order(PATIENCE_S), ends=len(SOURCES))
    for source in SOURCES:
        assert steps_back(raw, source) > 5, "the workers did not get in each other's way"
        of_source = [r for r in raw if r.source == source]
        events = [r for r in of_source if isinstance(r, EmotionEvent)]
        (started,) = (r for r in of_source if isinstance(r, SourceRecord) and r.state == "started")
        (ended,) = (r for r in of_source if isinstance(r, SourceRecord) and r.state == "ended")
        expected = [started, *sorted(events, key=lambda event: event.seq), ended]
        assert [r for r in alone if r.source == source] == expected
        assert [r for r in together if r.source == source] == expected
        assert [r for r in in_order(raw, PATIENCE_S) if r.source == source] == expected
    assert (order.late, order.missing) == (timeline.late, timeline.missing) == (0, 0)

    # With no patience at all some are dropped, but none goes back and none is lost sight of.
    hasty = Order(0.0)
    out = [released for record in raw for released in hasty.put(record, time.monotonic())]
    out += hasty.flush()
    assert len(out) + hasty.late == len(raw)
    assert hasty.late > 0 == hasty.missing
    assert [steps_back(out, source) for source in SOURCES] == [0, 0]
