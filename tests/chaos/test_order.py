"""What the verdict says of the order in which a reader was given events."""

from __future__ import annotations

from collections.abc import Sequence

from contract.event import SourceRecord
from contract.partitions import Layout
from contract.snapshot import Snapshot
from tests.chaos.evidence import Evidence, Partition
from tests.chaos.order import look_at_order


def partition(*sessions: str, events: Sequence[str] = ()) -> Partition:
    """Sessions s1, s2, ... of one source, in the order they began in all partitions."""
    nothing = Snapshot(0, 0, 0, {}, 0, 0, 0, 0, 0, 0, 0, 0, (), ())
    records = [SourceRecord("a", session, "started", int(session[1:])) for session in sessions]
    return Partition(nothing, events, records, (), 0)


def events(session: str, *seqs: int) -> list[str]:
    return [f"a/{session}/{seq}" for seq in seqs]


OLD, NEW = events("s1", 0, 1), events("s2", 0, 1)
MOVED = Evidence(Layout(2, (1,)), [partition("s1", events=OLD), partition("s2", events=NEW)])


def test_one_session_after_the_other_is_as_promised() -> None:
    order = look_at_order(MOVED, [*OLD, *NEW])
    assert (order.faults, order.moves, order.overlaps) == ([], 1, 0)


def test_a_session_that_came_from_another_partition_may_not_overtake() -> None:
    faults = look_at_order(MOVED, [OLD[0], NEW[0], OLD[1], NEW[1]]).faults
    assert len(faults) == 1
    assert "began before ('a', 's1') in partition 0 was over, by 1 events" in faults[0]


def test_two_sessions_in_one_partition_may_overlap() -> None:
    mixed = [OLD[0], NEW[0], OLD[1], NEW[1]]
    order = look_at_order(
        Evidence(Layout(1), [partition("s1", "s2", events=mixed)]), handed_out=mixed
    )
    assert (order.faults, order.moves, order.overlaps) == ([], 0, 1)


def test_each_stream_is_handed_out_as_it_is() -> None:
    faults = look_at_order(MOVED, [*reversed(OLD), *NEW]).faults
    assert faults == [
        "partition 0: 2 events handed out, 2 in the stream, the first difference at 0"
    ]
    faults = look_at_order(MOVED, [*OLD, *NEW, "b/s9/0"]).faults
    assert faults == ["1 events of no session, ['b/s9/0']"]
