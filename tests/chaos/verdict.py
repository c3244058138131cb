"""Were the guarantees kept? Judged from outside, by what is in Redis and what readers got."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis

from contract.event import EmotionEvent, SourceRecord, decode_record
from contract.frame import FrameMessage
from contract.keys import Keys
from contract.snapshot import Snapshot, read_snapshot

# An acknowledgement may be 64 events late, and 256 are fetched at a time.
_REPEATS_PER_KILLED_READER = 64 + 256
_PAGE = 5_000

# What became of a poison frame, by what it does; a worker killed from outside costs an attempt too.
_REASONS = {
    "raise": {"error", "attempts"},
    "kill": {"attempts"},
    "exit": {"attempts"},
    "broken": {"image"},
}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter: the id of its frame, why, and after how many solo attempts."""

    frame_id: str
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that one system left in Redis.

    events    ids of all events, in the order of their stream
    records   all source records
    """

    snapshot: Snapshot
    events: Sequence[str]
    records: Sequence[SourceRecord]
    dead: Sequence[DeadLetter]
    attempts_left: int


@dataclass(slots=True)
class Verdict:
    """`faults` is empty if every guarantee was kept; `figures` is what to show."""

    faults: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def expect(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            self.faults.append(otherwise)


def read_evidence(client: redis.Redis, keys: Keys) -> Evidence:
    """Read all of it; nothing may run any more."""
    events: list[str] = []
    records: list[SourceRecord] = []
    for entry in _entries(client, keys.events):
        record = decode_record(entry)
        if isinstance(record, EmotionEvent):
            events.append(record.id)
        else:
            records.append(record)
    dead = [
        DeadLetter(
            FrameMessage.decode(entry).id, entry[b"reason"].decode(), int(entry[b"attempts"])
        )
        for entry in _entries(client, keys.dead)
    ]
    return Evidence(read_snapshot(client, keys), events, records, dead, client.hlen(keys.attempts))


def judge_lossless(found: Evidence, verdict: Verdict) -> None:
    """Every frame that Redis ever acknowledged is one event or one dead letter, and only one.

    The frames of a session are numbered without a hole, so a hole is a lost frame; frames lost at
    the end of a session show in the sum over all sessions, which Redis counted as it took them.
    """
    _judge_any(found, verdict, "lossless")
    ends = [*found.events, *(letter.frame_id for letter in found.dead)]
    counted = Counter(ends)
    doubled = [frame_id for frame_id, times in counted.items() if times > 1]
    lengths = _session_lengths(ends)
    lost = sum(lengths.values()) - len(counted)
    verdict.expect(not doubled, f"lossless: settled twice: {doubled[:5]}")
    verdict.expect(not lost, f"lossless: {lost} frames are neither event nor dead letter")
    published = found.snapshot.published
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
        "sessions": len(lengths),
        "lost": lost + published - sum(lengths.values()),
        "doubled": len(doubled),
        "redelivered": found.snapshot.redelivered,
    }


def judge_live(found: Evidence, verdict: Verdict) -> None:
    """What is missing between a live session's frames was dropped or refused, and counted."""
    _judge_any(found, verdict, "live")
    snapshot = found.snapshot
    ends = [*found.events, *(letter.frame_id for letter in found.dead)]
    sent = sum(source.last_seq + 1 for source in snapshot.sources)
    missing = sent - len(set(ends))
    dropped = sum(snapshot.dropped.values())
    verdict.expect(
        missing == dropped + snapshot.refused,
        f"live: {missing} frames missing, {dropped} dropped and {snapshot.refused} refused",
    )
    verdict.figures |= {
        "live frames": sent,
        "live drops": dict(snapshot.dropped),
        "live refused": snapshot.refused,
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
    """A reader of its own got every event once, in order; a group that was killed got them all."""
    verdict.expect(
        list(alone) == list(found.events),
        f"reader: {len(alone)} events handed out, {len(found.events)} in the stream, "
        f"the first difference at {_first_difference(alone, found.events)}",
    )
    unseen = set(found.events) - set(group)
    verdict.expect(not unseen, f"group: {len(unseen)} events never handed out")
    repeats = len(group) - len(set(group))
    verdict.expect(
        repeats <= kills * _REPEATS_PER_KILLED_READER,
        f"group: {repeats} events handed out again after {kills} kills",
    )
    verdict.figures["repeats to killed readers"] = repeats


def _judge_any(found: Evidence, verdict: Verdict, name: str) -> None:
    snapshot = found.snapshot
    verdict.expect(snapshot.unaccounted == 0, f"{name}: {snapshot.unaccounted} unaccounted")
    verdict.expect(snapshot.backlog == 0, f"{name}: {snapshot.backlog} frames never settled")
    verdict.expect(snapshot.pending == 0, f"{name}: {snapshot.pending} still pending")
    verdict.expect(found.attempts_left == 0, f"{name}: {found.attempts_left} attempts left behind")
    verdict.expect(
        len(found.events) == snapshot.events,
        f"{name}: {snapshot.events} events counted, {len(found.events)} in the stream",
    )
    verdict.expect(
        len(found.dead) == snapshot.dead,
        f"{name}: {snapshot.dead} dead letters counted, {len(found.dead)} there",
    )
    repeated = [event for event, times in Counter(found.events).items() if times > 1]
    verdict.expect(not repeated, f"{name}: events twice: {repeated[:5]}")


def _session_lengths(frame_ids: Iterable[str]) -> dict[tuple[str, str], int]:
    """(source, session) -> its highest seq plus one."""
    lengths: defaultdict[tuple[str, str], int] = defaultdict(int)
    for frame_id in frame_ids:
        source, session, seq = frame_id.split("/")
        lengths[source, session] = max(lengths[source, session], int(seq) + 1)
    return lengths


def _first_difference(left: Sequence[str], right: Sequence[str]) -> int:
    for at, (mine, theirs) in enumerate(zip(left, right, strict=False)):
        if mine != theirs:
            return at
    return min(len(left), len(right))


def _entries(client: redis.Redis, key: str) -> Iterable[dict[bytes, bytes]]:
    after = "-"
    while True:
        page: Any = client.xrange(key, after, "+", count=_PAGE)
        if not page:
            return
        for _, fields in page:
            yield fields
        after = f"({page[-1][0].decode()}"
