"""Recorded sessions: what is written comes back, and what is damaged is named."""

from __future__ import annotations

import gzip
import itertools
import json
import logging
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.session.layout import MAX_LINE_BYTES
from consumer.session.player import Player, Speed, replay
from consumer.session.reader import SessionReader
from consumer.session.writer import SessionWriter
from contract.errors import SessionError
from contract.event import Box, EmotionEvent, FaceEmotion, Record, SourceRecord
from tests.unit import strategies as make

STARTED_NS = 1_700_000_000_000_000_000
FACE = FaceEmotion(Box(1, 2, 31, 42), 0.99, "기쁨", {"기쁨": 0.75, "neutral": 0.25}, 0.6, 0.4, 12.5)
NAMES = ("a.jsonl", "a.jsonl.gz")


def event(seq: int, source: str = "lobby") -> EmotionEvent:
    at_ns = STARTED_NS + seq * 40_000_000
    return EmotionEvent(source, "s", seq, at_ns, seq, at_ns + 5, 640, 480, "m@1", (FACE,))


RECORDS: tuple[tuple[int, Record], ...] = (
    (5_000_000, SourceRecord("lobby", "s", "started", STARTED_NS, 3)),
    (5_000_000, event(0)),
    (41_000_000, event(1)),
    (1_700_000_000, event(2)),
    (1_750_000_001, SourceRecord("lobby", "s", "ended", STARTED_NS + 120_000_000, 3)),
)
DURATION_NS = 2_000_000_000


def write(
    path: Path,
    records: Sequence[tuple[int, Record]] = RECORDS,
    duration_ns: int = DURATION_NS,
    **options: Any,
) -> Path:
    with SessionWriter(path, started_at_ns=STARTED_NS, **options) as session:
        for at_ns, record in records:
            session.write(record, at_ns)
        session.finish(duration_ns)
    return path


def read(path: Path) -> list[tuple[int, Record]]:
    return [(round(at_s * 1e9), record) for at_s, record in SessionReader(path)]


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=50)
@given(
    records=st.lists(st.tuples(st.integers(0, 10**13), make.events | make.source_records)),
    rest_ns=st.integers(0, 10**13),
)
def test_what_is_recorded_comes_back(
    name: str, records: list[tuple[int, Record]], rest_ns: int
) -> None:
    times_ns = itertools.accumulate(at_ns for at_ns, _ in records)
    timed = [(at_ns, record) for at_ns, (_, record) in zip(times_ns, records, strict=True)]
    duration_ns = (timed[-1][0] if timed else 0) + rest_ns
    with tempfile.TemporaryDirectory() as folder:
        session = SessionReader(write(Path(folder, name), timed, duration_ns))
        # Seconds as a float are exact enough: less than a microsecond after eleven days.
        found = list(session)
        assert [record for _, record in found] == [record for _, record in timed]
        assert [at_s for at_s, _ in found] == [at_ns / 1e9 for at_ns, _ in timed]
        assert (session.is_cut, session.count) == (False, len(timed))
        assert session.duration_s == duration_ns / 1e9
        assert session.header.started_at_ns == STARTED_NS
        assert [file.name for file in Path(folder).iterdir()] == [name]


def test_the_file_is_what_the_description_says(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", created_by="test 1")
    header, *lines, footer = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert header == {
        "format": "emotion-session",
        "version": 1,
        "started_at_ns": STARTED_NS,
        "created_by": "test 1",
    }
    assert lines == [{"at_ns": at_ns, "record": record.to_dict()} for at_ns, record in RECORDS]
    assert footer == {"end": True, "records": 5, "duration_ns": DURATION_NS}
    assert "기쁨" in path.read_text("utf-8")
    packed = write(tmp_path / "a.jsonl.gz", created_by="test 1")
    assert gzip.decompress(packed.read_bytes()) == path.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_cut_anywhere_it_plays_what_is_whole_and_says_so(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write(tmp_path / name).read_bytes()
    cut = tmp_path / "cut"
    most = 0
    for length in range(len(data)):
        cut.write_bytes(data[:length])
        try:
            session = SessionReader(cut)
        except SessionError as error:
            assert most == 0  # in the header
            assert "expected a session" in str(error)
            continue
        caplog.clear()
        found = [(round(at_s * 1e9), record) for at_s, record in session]
        assert found == list(RECORDS[: len(found)])
        assert len(found) >= most
        most = len(found)
        # Without its last newline a footer is whole; so is one before the checksum of gzip.
        if session.is_cut:
            records = "1 record" if len(found) == 1 else f"{len(found)} records"
            assert f": {records}, {session.duration_s:.1f} s" in caplog.text
        else:
            assert length >= len(data) - 9
    assert most == len(RECORDS)


@settings(deadline=None)
@given(st.sampled_from(NAMES), st.data())
def test_a_flipped_byte_is_named_or_harmless(name: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder, name))
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        try:
            assert len(list(SessionReader(path))) <= len(RECORDS)
        except SessionError as error:
            assert str(path) in str(error)


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def changed(line: bytes, **fields: Any) -> bytes:
    return json.dumps(json.loads(line) | fields).encode() + b"\n"


def bad_record(line: bytes, **fields: Any) -> bytes:
    return changed(line, record=json.loads(line)["record"] | fields)


@pytest.mark.parametrize(
    ("number", "damage", "expected"),
    [
        (1, lambda line: b"{}\n", "line 1: expected a session made by emotion-events record"),
        (1, lambda line: b"\x00\x01\xff" * 9, "line 1: expected a session made by"),
        (1, lambda line: b"", "line 1: expected a session made by"),
        (
            1,
            lambda line: changed(line, version=2, created_by="emotion-stream 9.1"),
            "line 1: expected version 1, got 2, made by 'emotion-stream 9.1'",
        ),
        (1, lambda line: changed(line, started_at_ns=-1), "line 1: started_at_ns: expected an int"),
        (3, lambda line: b"{broken\n", "line 3: expected one JSON object: Expecting"),
        (3, lambda line: b"\xff\xfe\n", "line 3: expected one JSON object: 'utf-8' codec"),
        (3, lambda line: b"[" * 100_000 + b"\n", "line 3: expected one JSON object: maximum rec"),
        (3, lambda line: b"[]\n", "line 3: expected a JSON object, got list"),
        (3, lambda line: b" " * MAX_LINE_BYTES + b"\n", "line 3: expected at most 4,194,304 bytes"),
        (3, lambda line: changed(line, record=None), "line 3: record: expected an object, got N"),
        (3, lambda line: bad_record(line, v=2), "line 3: v: expected wire version 1, got 2"),
        (3, lambda line: bad_record(line, seq=-1), "line 3: seq: expected an integer from 0"),
        (3, lambda line: bad_record(line, kind="x"), "line 3: kind: expected one of frame, source"),
        (4, lambda line: changed(line, at_ns=4), "line 4: at_ns: expected 5000000 or more, got 4"),
        (4, lambda line: changed(line, at_ns=None), "line 4: at_ns: expected an integer from 0"),
        (4, lambda line: b"", "line 6: expected 4 records, as there are, got 5"),
        (7, lambda line: changed(line, end=1), "line 7: end: expected true, got 1"),
        (7, lambda line: changed(line, duration_ns=3), "line 7: duration_ns: expected 1750000001"),
        (7, lambda line: line + b"\n", "line 7: expected nothing after the end of the session"),
        (7, lambda line: line + b"{}", "line 7: expected nothing after the end of the session"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_wrong_is_named(
    number: int, damage: Any, expected: str, packed: bool, tmp_path: Path
) -> None:
    lines = lines_of(write(tmp_path / "a.jsonl"))
    lines[number - 1] = damage(lines[number - 1])
    path = tmp_path / "damaged"
    data = b"".join(lines) if lines[0] else b""
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(SessionError) as caught:
        list(SessionReader(path))
    assert str(caught.value).startswith(f"{path}, {expected}")
    assert caught.value.exit_code == 2


def test_damaged_compression_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz")
    data = path.read_bytes()
    for damaged in (
        data[:60] + b"\xff" * 8 + data[68:],
        data[:-6] + b"\0\0" + data[-4:],
        data + b"x",
    ):
        path.write_bytes(damaged)
        with pytest.raises(SessionError, match=r"a\.jsonl\.gz: damaged: "):
            list(SessionReader(path))


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    for path, expected in ((tmp_path, "Is a directory"), (tmp_path / "none", "No such file")):
        with pytest.raises(SessionError, match=expected):
            SessionReader(path)


def test_a_session_is_not_overwritten_unless_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl")
    before = path.read_bytes()
    with pytest.raises(SessionError, match=r"a\.jsonl: exists; another name, or --force"):
        write(path, RECORDS[:1])
    with pytest.raises(SessionError, match="is a folder"):
        write(tmp_path, overwrite=True)
    with pytest.raises(SessionError, match="cannot be written: No such file or directory"):
        write(tmp_path / "none" / "a.jsonl")
    with pytest.raises(ZeroDivisionError), SessionWriter(path, started_at_ns=0, overwrite=True):
        raise ZeroDivisionError
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]  # an unfinished one without a record is no loss
    write(path, RECORDS[:1], overwrite=True)
    assert read(path) == list(RECORDS[:1])


def test_one_that_appears_meanwhile_is_not_overwritten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.jsonl"
    with pytest.raises(SessionError, match="exists"), SessionWriter(path, started_at_ns=0) as ours:
        ours.write(event(0), 0)
        path.write_text("somebody else's")
        ours.finish(1)
    assert path.read_text() == "somebody else's"
    assert read(tmp_path / "a.jsonl.partial") == [(0, event(0))]
    assert "the 1 record so far is in" in caplog.text


@pytest.mark.parametrize("name", NAMES)
def test_a_second_after_it_came_a_record_can_be_read_by_others(name: str, tmp_path: Path) -> None:
    unfinished = tmp_path / f"{name}.partial"
    with SessionWriter(tmp_path / name, started_at_ns=STARTED_NS) as session:
        assert read(unfinished) == []
        session.write(event(0), 10)
        session.write(event(1), 999_999_999)
        session.tick(1_000_000_000)
        assert read(unfinished) == [(10, event(0)), (999_999_999, event(1))]
        session.write(event(2), 1_500_000_000)
        session.write(event(3), 2_000_000_000)
        assert [record for _, record in read(unfinished)] == [event(seq) for seq in range(4)]
        assert session.size_bytes == unfinished.stat().st_size
        with pytest.raises(ValueError, match="expected 2000000000 or more, got 7"):
            session.write(event(4), 7)


@pytest.mark.parametrize("name", NAMES)
def test_unfinished_sessions_are_kept_beside_each_other(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, ending in enumerate((".partial", ".partial-2", ".partial-3")):
        with SessionWriter(tmp_path / name, started_at_ns=STARTED_NS) as session:
            session.write(event(number), 10)
        kept = tmp_path / (name + ending)
        assert f"the 1 record so far is in {kept}" in caplog.text
        assert read(kept) == [(10, event(number))]


class Time(threading.Event):
    """A clock that only waiting moves, and `late_s` more each time, as on a busy machine."""

    def __init__(self, late_s: float = 0.0) -> None:
        super().__init__()
        self.now_s = 1000.0
        self.late_s = late_s
        self.stop_at_s: float | None = None

    def __call__(self) -> float:
        return self.now_s

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        if self.stop_at_s is not None and self.now_s + timeout >= self.stop_at_s:
            self.now_s = self.stop_at_s
            self.set()
            return True
        self.now_s += timeout + self.late_s
        return False


def played(
    path: Path, time: Time, speed: Speed = 1.0, **options: Any
) -> Iterator[tuple[float, Record]]:
    for record in replay(SessionReader(path), stop=time, clock=time, speed=speed, **options):
        yield time.now_s - 1000.0, record


@pytest.mark.parametrize("speed", [1.0, 2.0, 0.5])
def test_it_plays_at_the_recorded_pace_or_faster(speed: float, tmp_path: Path) -> None:
    found = list(played(write(tmp_path / "a"), Time(), speed))
    assert [record for _, record in found] == [record for _, record in RECORDS]
    assert [at_s for at_s, _ in found] == pytest.approx(
        [at_ns / 1e9 / speed for at_ns, _ in RECORDS]
    )


def test_as_fast_as_possible_waits_for_nothing(tmp_path: Path) -> None:
    assert list(played(write(tmp_path / "a"), Time(), "max")) == [(0.0, r) for _, r in RECORDS]


def test_what_is_late_delays_no_other(tmp_path: Path) -> None:
    records = [(seq * 100_000_000, event(seq)) for seq in range(50)]
    time = Time(late_s=0.004)
    found = []
    for at_s, record in played(write(tmp_path / "a", records), time):
        found.append((at_s, record))
        time.now_s += 0.03  # what the listener does with it
        if len(found) == 10:
            time.now_s += 0.5  # once, it hangs
    late_s = [at_s - at_ns / 1e9 for (at_s, _), (at_ns, _) in zip(found, records, strict=True)]
    assert max(late_s) == pytest.approx(0.434)  # nothing else is left out or waits on
    assert late_s[0] == 0.0
    assert late_s[1:10] == pytest.approx([0.004] * 9)
    assert late_s[20:] == pytest.approx([0.004] * 30)
    assert [record for _, record in found] == [record for _, record in records]


def test_it_stops_in_the_middle_of_a_wait(tmp_path: Path) -> None:
    time = Time()
    time.stop_at_s = 1001.0  # nothing comes between 0.041 and 1.7 s
    assert [r for _, r in played(write(tmp_path / "a"), time)] == [r for _, r in RECORDS[:3]]
    assert time.now_s == 1001.0
    assert list(played(tmp_path / "a", time, "max")) == []


def test_it_begins_in_the_middle(tmp_path: Path) -> None:
    found = list(played(write(tmp_path / "a"), Time(), 2.0, from_s=0.041))
    assert [record for _, record in found] == [record for _, record in RECORDS[2:]]
    assert [at_s for at_s, _ in found] == pytest.approx([0.0, 0.8295, 0.8545000005])
    assert list(played(tmp_path / "a", Time(), from_s=1.8)) == []
    assert list(played(tmp_path / "a", Time(), from_s=1.8, loop=True)) == []


def test_damage_is_told_when_its_place_has_come(tmp_path: Path) -> None:
    lines = lines_of(write(tmp_path / "a"))
    lines[5] = b"{broken\n"
    (tmp_path / "a").write_bytes(b"".join(lines))
    time = Time()
    playing = played(tmp_path / "a", time)
    assert [next(playing)[1] for _ in range(4)] == [record for _, record in RECORDS[:4]]
    with pytest.raises(SessionError, match="line 6: expected one JSON object"):
        next(playing)
    assert time.now_s == pytest.approx(1001.7)


def test_a_player_does_not_hold_up_whoever_has_other_things_to_do(tmp_path: Path) -> None:
    time = Time()
    player = Player(SessionReader(write(tmp_path / "a")), stop=time, clock=time)
    found = []
    while not player.is_over:
        record = player.next_record(timeout_s=0.5)
        found.append((round(time.now_s - 1000.0, 3), round(player.at_s, 3), record))
    assert found == [
        (0.005, 0.005, RECORDS[0][1]),
        (0.005, 0.005, RECORDS[1][1]),
        (0.041, 0.041, RECORDS[2][1]),
        (0.541, 0.041, None),
        (1.041, 0.041, None),
        (1.541, 0.041, None),
        (1.7, 1.7, RECORDS[3][1]),
        (1.75, 1.75, RECORDS[4][1]),
    ]


def test_in_a_loop_each_run_is_a_session_of_its_own_and_later(tmp_path: Path) -> None:
    path = write(tmp_path / "a")
    runs = 3
    found = list(itertools.islice(played(path, Time(), loop=True), runs * len(RECORDS)))
    for run in range(runs):
        part = found[run * len(RECORDS) : (run + 1) * len(RECORDS)]
        assert [at_s for at_s, _ in part] == pytest.approx(
            [run * 2.0 + at_ns / 1e9 for at_ns, _ in RECORDS]
        )
        by_ns = run * DURATION_NS
        for (_, got), (_, recorded) in zip(part, RECORDS, strict=True):
            session = "s" if run == 0 else f"s+{run + 1}"
            if isinstance(recorded, EmotionEvent):
                assert got == replace(
                    recorded,
                    session=session,
                    captured_at_ns=recorded.captured_at_ns + by_ns,
                    published_at_ns=recorded.published_at_ns + by_ns,
                )
            else:
                assert got == replace(recorded, session=session, at_ns=recorded.at_ns + by_ns)


def test_a_loop_of_what_was_recorded_in_one_go_never_goes_back(tmp_path: Path) -> None:
    records = [(0, event(seq)) for seq in range(100)]  # 4 s of events, which came at once
    path = write(tmp_path / "a", records, duration_ns=1_000_000)
    found = list(itertools.islice(played(path, Time(), "max", loop=True), 300))
    times_ns = [r.captured_at_ns for _, r in found if isinstance(r, EmotionEvent)]
    assert len(times_ns) == 300
    assert all(earlier < later for earlier, later in itertools.pairwise(times_ns))


def test_the_longest_session_name_stays_within_the_limit(tmp_path: Path) -> None:
    record = replace(event(0), session="x" * 128)
    path = write(tmp_path / "a", [(0, record)])
    second = list(itertools.islice(played(path, Time(), loop=True), 2))[1][1]
    assert second.session == "x" * 126 + "+2"
    assert isinstance(second, EmotionEvent)
    assert second.encode()


def test_all_times_can_be_moved(tmp_path: Path) -> None:
    found = list(played(write(tmp_path / "a"), Time(), shift_ns=7))
    assert [r.at_ns for _, r in found if isinstance(r, SourceRecord)] == [
        STARTED_NS + 7,
        STARTED_NS + 120_000_007,
    ]
    assert {r.session for _, r in found} == {"s"}


def test_a_cut_session_in_a_loop_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cut"
    path.write_bytes(b"".join(lines_of(write(tmp_path / "a"))[:-1]))
    with caplog.at_level(logging.WARNING):
        found = list(itertools.islice(played(path, Time(), loop=True), 12))
    assert len(found) == 12
    assert caplog.text.count("its end is missing") == 1
