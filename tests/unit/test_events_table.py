"""What people see: rows of events, and the status of a system."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.cells import cell_len

from consumer.jsonl import JsonLines
from consumer.progress import parse_start
from consumer.status import Status, duration, print_json, print_table
from consumer.table import EventTable, clock_time
from contract.event import Box, EmotionEvent, FaceEmotion, Record, SourceRecord
from contract.snapshot import Snapshot, SourceStatus, WorkerStatus

AT_NS = 1_767_225_600_123_000_000


def face(label: str, score: float, left: int = 10) -> FaceEmotion:
    scores = {label: score, "other": 1 - score}
    return FaceEmotion(Box(left, 20, left + 30, 60), 0.99, label, scores, 0.1, 0.2)


def event(
    *faces: FaceEmotion, source: str = "lobby", seq: int = 7, latency_ns: int = 21_400_000
) -> EmotionEvent:
    return EmotionEvent(
        source, "s1", seq, AT_NS, None, AT_NS + latency_ns, 640, 480, "fer@0123456789ab", faces
    )


def rows(*records: Record) -> list[str]:
    stream = io.StringIO()
    table = EventTable(stream)
    for record in records:
        table.write(record)
    return stream.getvalue().splitlines()


def test_a_row_has_time_source_seq_latency_and_faces() -> None:
    header, row = rows(event(face("happiness", 0.934), face("fear", 0.5, left=300)))
    assert header.split() == ["time", "source", "seq", "latency", "faces"]
    assert row.split() == [
        clock_time(AT_NS), "lobby", "7", "21", "ms",
        "happiness", "93", "%,", "fear", "50", "%",
    ]  # fmt: skip
    assert clock_time(AT_NS).endswith(".123")


def test_faces_are_named_from_left_to_right() -> None:
    row = rows(event(face("fear", 0.5, left=300), face("anger", 0.8, left=5)))[1]
    assert row.endswith("anger 80 %, fear 50 %")


def test_no_face_is_a_dash_and_a_clock_that_is_behind_shows() -> None:
    row = rows(event(latency_ns=-5_000_000))[1]
    assert row.endswith("-5 ms  -")


def test_columns_align_also_with_wide_characters_and_longer_ids() -> None:
    lines = rows(
        event(face("fear", 0.5), source="카메라"),
        event(face("fear", 0.5), source="lobby", seq=123),
        event(face("fear", 0.5), source="a-much-longer-source"),
        event(face("fear", 0.5), source="lobby"),
    )
    at = [cell_len(line[: line.index("fear")]) for line in lines[1:]]
    assert at[0] == at[1]
    assert at[2] == at[3] == at[0] + len("a-much-longer-source") - 10


def test_source_records_are_rows() -> None:
    lines = rows(
        SourceRecord("clip", "s1", "started", AT_NS, 120),
        SourceRecord("clip", "s1", "ended", AT_NS, 1),
        SourceRecord("cam", "s1", "offline", AT_NS),
    )
    assert [line.split("  ")[-1].strip() for line in lines[1:]] == [
        "started, expects 120 frames",
        "ended, after 1 frame",
        "offline",
    ]


def test_no_colour_codes_and_no_wrapping_away_from_a_terminal() -> None:
    lines = rows(event(*(face("happiness", 0.9, left=10 * i) for i in range(30))))
    assert len(lines) == 2
    assert "\x1b" not in lines[1]
    assert lines[1].count("happiness") == 30


def test_a_time_nobody_can_write_is_no_reason_to_fail() -> None:
    assert clock_time(2**63 - 1)
    assert clock_time(0)


def test_json_lines_are_the_record_itself_with_its_own_letters() -> None:
    stream = io.StringIO()
    record = event(face("happiness", 0.9), source="카메라")
    JsonLines(stream).write(record)
    assert json.loads(stream.getvalue()) == record.to_dict()
    assert "카메라" in stream.getvalue()
    assert stream.getvalue().endswith("}\n")


def snapshot(**changes: object) -> Snapshot:
    values: dict[str, object] = {
        "published": 1_010, "events": 1_000, "dead": 2, "dropped": {"stale": 5}, "refused": 4,
        "redelivered": 6, "requeued": 1, "backlog": 3, "pending": 1, "dead_letters": 2,
        "dead_letter_bytes": 40_000, "event_entries": 900,
        "sources": (
            SourceStatus("lobby", 3, "s3", 1_009, "started", AT_NS),
            SourceStatus("yard", 1, "s1", 9, "offline", AT_NS - 300 * 10**9),
        ),
        "workers": (WorkerStatus("w-1", 1, 0.5), WorkerStatus("w-2", 0, 4000.0)),
    }  # fmt: skip
    return Snapshot(**{**values, **changes})  # type: ignore[arg-type]


def shown(status: Status) -> str:
    stream = io.StringIO()
    print_table(status, stream, server="redis://***@db", prefix="studio")
    return stream.getvalue()


def test_status_shows_sources_workers_counts_and_that_they_add_up() -> None:
    text = shown(Status((snapshot(),), AT_NS + 2 * 10**9))
    for pattern in (
        r"lobby +started +s3 +1,010 +2\.0 s ago",
        r"yard +offline +s1 +10 +5 min ago",
        r"w-1 +1 +0\.5 s ago *\n",
        r"w-2 +0 +67 min ago +silent: gone or hung",
        r"published +1,010",
        r"backlog +3 +1 of them in workers' hands",
        r"dropped +5 +stale 5",
        r"refused +4",
        r"dead letters +2 +2 kept, 39\.1 KiB: emotion-worker dead list",
        r"requeued +1 +dead letters put back",
        "Every frame is accounted for",
    ):
        assert re.search(pattern, text), (pattern, text)


def test_status_says_when_frames_are_missing() -> None:
    text = shown(Status((snapshot(published=1_012),), AT_NS))
    assert "2 frames are not accounted for" in text


def test_partitions_add_up_and_come_out_as_json() -> None:
    status = Status((snapshot(), snapshot(dropped={"stale": 1, "full": 4})), AT_NS)
    stream = io.StringIO()
    print_json(status, stream)
    values = json.loads(stream.getvalue())
    assert values["published"] == 2_020
    assert values["dropped"] == {"stale": 6, "full": 4}
    assert (values["requeued"], values["dead_letter_bytes"]) == (2, 80_000)
    assert values["unaccounted"] == 0
    assert [worker["silent"] for worker in values["workers"]] == [False, True] * 2
    assert values["sources"][1]["age_s"] == 300.0


def test_a_system_that_never_ran_gets_a_friendly_line() -> None:
    nothing = Snapshot(0, 0, 0, {}, 0, 0, 0, 0, 0, 0, 0, 0, (), ())
    text = shown(Status((nothing,), AT_NS))
    assert text.startswith("Nothing has run yet at redis://***@db with prefix studio.")
    assert "emotion-up" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.44, "0.4 s"), (12, "12 s"), (180, "3 min"), (18_000, "5 h"), (260_000, "3 days")],
)
def test_durations_read_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize("text", ["", "Now", "-1", "1-", "1-2-3", "1.5", "٣", str(2**64), "0-1 "])
def test_a_start_that_is_none_says_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected now, beginning or a stream id"):
        parse_start(text)


@pytest.mark.parametrize(("text", "start"), [("17", (17, 0)), ("17-3", (17, 3)), ("now", "now")])
def test_starts(text: str, start: object) -> None:
    assert parse_start(text) == start
