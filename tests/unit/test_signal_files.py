"""Signals on disk and on standard output: CSV, JSON lines, the table of people."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from consumer.jsonl import JsonLines
from consumer.partial import PartialFile
from consumer.people_table import PeopleTable
from consumer.sinks.csv import CsvTable
from contract.affect import Affect, Range
from contract.event import Box, SourceRecord
from contract.smoothed import Person, RejectedFace, SmoothedEvent, Transition, signal_from_dict

AT_NS = 1_700_000_000_123_456_789
ANNA = Person(
    3, 1, Box(1, 2, 31, 42), True, "happiness", {"neutral": 0.25, "happiness": 0.75}, 0.6, 0.4
)
BO = Person(
    4, 2, Box(50, 2, 80, 42), False, "neutral", {"neutral": 1.0, "happiness": 0.0}, 0.0, 0.0
)
EVENT = SmoothedEvent(
    "로비", "s", 7, AT_NS, 2_500_000_000, AT_NS + 21_000_000, 640, 480, (ANNA, BO),
    Affect(0.5, -0.25), (RejectedFace(Box(5, 60, 40, 99), "printed"),),
)  # fmt: skip
NOBODY = SmoothedEvent("로비", "s", 8, AT_NS, None, AT_NS, 640, 480, (), None)
CAME = Transition("로비", "s", "person_entered", AT_NS, 3, 1, "happiness")
CHANGED = Transition("로비", "s", "emotion_changed", AT_NS, 3, 1, "anger", "happiness")
LEFT = Transition("로비", "s", "person_left", AT_NS, 3, 1, "anger")
OFFLINE = SourceRecord("로비", "s", "offline", AT_NS, 9)
ALL = (CAME, EVENT, CHANGED, NOBODY, LEFT, OFFLINE)


def test_json_lines_hold_what_was_sent() -> None:
    stream = io.StringIO()
    sink = JsonLines(stream)
    for signal in ALL:
        sink.write(signal, 0.0)
    lines = stream.getvalue().splitlines()
    assert [signal_from_dict(json.loads(line)) for line in lines] == list(ALL)
    assert "로비" in lines[0]


@pytest.mark.parametrize("kind", [CsvTable, JsonLines])
def test_what_was_written_is_on_the_disk_at_once(
    tmp_path: Path, kind: type[CsvTable] | type[JsonLines]
) -> None:
    with (tmp_path / "take").open("w", encoding="utf-8") as stream:
        kind(stream).write(EVENT, 0.0)
        assert "happiness" in (tmp_path / "take").read_text("utf-8")


def test_csv_has_a_row_for_each_person_in_each_frame() -> None:
    stream = io.StringIO(newline="")
    sink = CsvTable(stream)
    for signal in ALL:
        sink.write(signal, 0.0)
    sink.close()
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert [(row["track"], row["voice"], row["seen"], row["label"]) for row in rows] == [
        ("3", "1", "1", "happiness"),
        ("4", "2", "0", "neutral"),
    ]
    first = rows[0]
    assert first["captured_at"] == "2023-11-14T22:13:20.123456Z"
    assert first["captured_at_ns"] == str(AT_NS)
    assert (first["media_s"], first["source"], first["seq"]) == ("2.500000", "로비", "7")
    assert (first["valence"], first["room_valence"], first["room_arousal"]) == (
        "0.6000", "0.5000", "-0.2500",
    )  # fmt: skip
    assert (first["p_neutral"], first["p_happiness"]) == ("0.2500", "0.7500")
    assert [first[side] for side in ("left", "top", "right", "bottom")] == ["1", "2", "31", "42"]


def test_csv_in_the_other_range_and_without_anybody() -> None:
    stream = io.StringIO(newline="")
    sink = CsvTable(stream, scale=Range.UNIT)
    sink.write(EVENT, 0.0)
    (row, _) = csv.DictReader(io.StringIO(stream.getvalue()))
    assert (row["valence"], row["room_valence"], row["room_arousal"]) == (
        "0.8000", "0.7500", "0.3750",
    )  # fmt: skip
    empty = io.StringIO(newline="")
    nobody = CsvTable(empty)
    nobody.write(NOBODY, 0.0)
    nobody.close()
    assert empty.getvalue().startswith("captured_at,")
    assert len(empty.getvalue().splitlines()) == 1


def test_the_table_says_who_is_there_and_what_happens() -> None:
    stream = io.StringIO()
    table = PeopleTable(stream)
    for signal in ALL:
        table.write(signal, 0.0)
    heading, *rows = stream.getvalue().splitlines()
    assert heading.endswith("people, and the mood of the room")
    ends = (
        "person 3 came: happiness",
        "21 ms  3 happiness 75 %, 4 neutral 100 %   room +0.50 -0.25",
        "person 3: happiness → anger",
        "0 ms  -",
        "person 3 left",
        "offline, after 9 frames",
    )
    assert len(rows) == len(ends)
    for row, end in zip(rows, ends, strict=True):
        assert row.endswith(end)


def test_a_file_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("earlier work")
    first, second = PartialFile(path), PartialFile(path)
    first.stream.write("left behind\n")
    first.leave()
    second.stream.write("complete\n")
    assert path.read_text() == "earlier work"
    second.finish()
    assert path.read_text() == "complete\n"
    assert (tmp_path / "out.csv.partial").read_text() == "left behind\n"
    third = PartialFile(tmp_path / "never.csv")
    third.discard()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.csv", "out.csv.partial"]
    with pytest.raises(FileNotFoundError):
        PartialFile(tmp_path / "nowhere" / "x.csv")
