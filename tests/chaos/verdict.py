"""Were the guarantees kept? Judged from outside, by what is in Redis and what readers got."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contract.keys import partition_of
from tests.chaos.evidence import Evidence, Session, session_of
from tests.chaos.order import look_at_order

# An acknowledgement may be 64 events late, and 256 are fetched from each partition at a time.
_LATE_ACKNOWLEDGED, _FETCHED = 64, 256

# What became of a poison frame, by what it does; a worker killed from outside costs an attempt too.
_REASONS = {
    "raise": {"error", "attempts"},
    "kill": {"attempts"},
    "exit": {"attempts"},
    "broken": {"image"},
}


@dataclass(slots=True)
class Verdict:
    """`faults` is empty if every guarantee was kept; `figures` is what to show."""

    faults: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def expect(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            self.faults.append(otherwise)


def judge_lossless(found: Evidence, verdict: Verdict) -> None:
    """Every frame that Redis ever acknowledged is one event or one dead letter, and only one.

    The frames of a session are numbered without a hole, so a hole is a lost frame; frames lost at
    the end of a session show in the sum over all sessions, which Redis counted as it took them.
    """
    _judge_any(found, verdict, "lossless")
    counted = Counter(found.settled)
    doubled = [frame_id for frame_id, times in counted.items() if times > 1]
    lengths = _session_lengths(counted)
    lost = sum(lengths.values()) - len(counted)
    verdict.expect(not doubled, f"lossless: settled twice: {doubled[:5]}")
    verdict.expect(not lost, f"lossless: {lost} frames are neither event nor dead letter")
    published = found.sum(lambda counts: counts.published)
    verdict.expect(
        sum(lengths.values()) == published,
        f"lossless: Redis took {published} frames, the sessions had {sum(lengths.values())}",
    )
    for record in found.records:
        if record.state == "ended":
            length = lengths.get((record.source, record.session), 0)
            verdict.expect(
                record.frames == length,
                f"lossless: {record.source}/{record.session} ended with {record.frames} frames by "
                f"its record, {length} were settled",
            )
    verdict.figures |= {
        "frames": published,
        "events by partition": [len(partition.events) for partition in found.partitions],
        "sessions": len(lengths),
        "lost": lost + published - sum(lengths.values()),
        "doubled": len(doubled),
        "redelivered": found.sum(lambda counts: counts.redelivered),
    }


def judge_live(found: Evidence, verdict: Verdict) -> None:
    """What is missing between a live session's frames was dropped or refused, and counted.

    How many there were is in the record of each session's end. The fence knows only the newest
    session of a partition; but a camera that is not killed ends all of its sessions itself.
    """
    _judge_any(found, verdict, "live")
    began = {(r.source, r.session) for r in found.records if r.state == "started"}
    ends = {(r.source, r.session): r.frames or 0 for r in found.records if r.state != "started"}
    verdict.expect(began == ends.keys(), f"live: begun or ended alone: {began ^ ends.keys()}")
    lengths = _session_lengths(found.settled)
    for session, length in lengths.items():
        verdict.expect(
            length <= ends.get(session, 0),
            f"live: {session} ended with {ends.get(session)} frames, number {length - 1} is there",
        )
    sent = sum(ends.values())
    missing = sent - len(set(found.settled))
    drops: Counter[str] = Counter()
    for partition in found.partitions:
        drops.update(partition.snapshot.dropped)
    refused = found.sum(lambda counts: counts.refused)
    verdict.expect(
        missing == drops.total() + refused,
        f"live: {missing} frames missing, {drops.total()} dropped and {refused} refused",
    )
    verdict.figures |= {
        "live frames": sent,
        "live events by partition": [len(partition.events) for partition in found.partitions],
        "live sessions": len(began),
        "live drops": dict(drops),
        "live refused": refused,
    }


def judge_poison(found: Evidence, sent: Mapping[str, str], verdict: Verdict) -> None:
    """Every poison frame is a dead letter for the right reason, and no innocent without cause."""
    reasons = {letter.frame_id: letter.reason for letter in found.dead}
    for frame_id, how in sent.items():
        verdict.expect(
            reasons.get(frame_id) in _REASONS[how],
            f"poison {how} {frame_id}: expected {_REASONS[how]}, got {reasons.get(frame_id)}",
        )
    # Killed from outside at each of its solo attempts: chance, and kept with its bytes.
    innocent = [letter for letter in found.dead if letter.frame_id not in sent]
    verdict.expect(
        all(letter.reason == "attempts" for letter in innocent), f"buried for nothing: {innocent}"
    )
    verdict.figures |= {"poison": len(sent), "innocents buried": len(innocent)}


def judge_readers(
    found: Evidence, alone: Sequence[str], group: Sequence[str], kills: int, verdict: Verdict
) -> None:
    """A reader of its own got every event once, and of a source that moved the old session first; a
    group that was killed got them all."""
    order = look_at_order(found, alone)
    verdict.faults += [f"reader: {fault}" for fault in order.faults]
    unseen = set(found.events) - set(group)
    verdict.expect(not unseen, f"group: {len(unseen)} events never handed out")
    repeats = len(group) - len(set(group))
    verdict.expect(
        repeats <= kills * (_LATE_ACKNOWLEDGED + _FETCHED * len(found.partitions)),
        f"group: {repeats} events handed out again after {kills} kills",
    )
    verdict.figures |= {
        "moves of a source": order.moves,
        "sessions that overlap the one before in their partition": order.overlaps,
        "repeats to killed readers": repeats,
    }


def _judge_any(found: Evidence, verdict: Verdict, name: str) -> None:
    for number, partition in enumerate(found.partitions):
        where, snapshot = f"{name}, partition {number}", partition.snapshot
        verdict.expect(snapshot.unaccounted == 0, f"{where}: {snapshot.unaccounted} unaccounted")
        verdict.expect(snapshot.backlog == 0, f"{where}: {snapshot.backlog} frames never settled")
        verdict.expect(snapshot.pending == 0, f"{where}: {snapshot.pending} still pending")
        verdict.expect(
            partition.attempts_left == 0, f"{where}: {partition.attempts_left} attempts left behind"
        )
        verdict.expect(
            len(partition.events) == snapshot.events,
            f"{where}: {snapshot.events} events counted, {len(partition.events)} in the stream",
        )
        verdict.expect(
            len(partition.dead) == snapshot.dead,
            f"{where}: {snapshot.dead} dead letters counted, {len(partition.dead)} there",
        )
    repeated = [event for event, times in Counter(found.events).items() if times > 1]
    verdict.expect(not repeated, f"{name}: events twice: {repeated[:5]}")
    _judge_sessions(found, verdict, name)


def _judge_sessions(found: Evidence, verdict: Verdict, name: str) -> None:
    """Each begins once, ends at most once, and lies in one partition its source may live in."""
    numbers = (found.layout.partitions, *found.layout.earlier)
    places: defaultdict[Session, set[int]] = defaultdict(set)
    for number, partition in enumerate(found.partitions):
        for session in partition.sessions:
            places[session].add(number)
    records = Counter(
        (record.source, record.session, record.state == "started") for record in found.records
    )
    for session, where in places.items():
        allowed = {partition_of(session[0], number) for number in numbers}
        verdict.expect(
            len(where) == 1 and where <= allowed,
            f"{name}: {session} lies in {where}, expected one of {allowed}",
        )
        begins, ends = records[*session, True], records[*session, False]
        verdict.expect(
            begins == 1 and ends <= 1, f"{name}: {session} began {begins} times, ended {ends} times"
        )


def _session_lengths(frame_ids: Iterable[str]) -> dict[Session, int]:
    """Of each session, its highest seq plus one."""
    lengths: defaultdict[Session, int] = defaultdict(int)
    for frame_id in frame_ids:
        session = session_of(frame_id)
        lengths[session] = max(lengths[session], int(frame_id.rpartition("/")[2]) + 1)
    return lengths
