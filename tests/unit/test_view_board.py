"""The state that the live page shows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from consumer.status import Status
from consumer.view.board import FORGET_ENDED_S, MOST_SOURCES, Board
from consumer.view.windows import Window
from contract.affect import Affect
from contract.event import Box, SourceRecord
from contract.smoothed import Person, RejectedFace, SmoothedEvent
from contract.snapshot import Snapshot, SourceStatus, WorkerStatus

S = 1_000_000_000
NOW_NS = 1_800_000_000 * S


def person(track: int = 1, *, label: str = "happiness", seen: bool = True) -> Person:
    scores = {"happiness": 0.9, "neutral": 0.1}
    return Person(track, track, Box(10, 20, 30, 40), seen, label, scores, 0.729, 0.459)


def event(
    seq: int = 0,
    *,
    source: str = "cam",
    session: str = "s1",
    people: tuple[Person, ...] = (),
    rejected: tuple[RejectedFace, ...] = (),
    latency_ms: int = 20,
) -> SmoothedEvent:
    room = Affect(0.7, 0.4) if people else None
    published_at_ns = NOW_NS + latency_ms * 1_000_000
    return SmoothedEvent(
        source, session, seq, NOW_NS, None, published_at_ns, 640, 480, people, room, rejected
    )


def record(state: Any, *, at_s: float = 0.0, session: str = "s1") -> SourceRecord:
    return SourceRecord("cam", session, state, NOW_NS + round(at_s * S))


def status(
    *sources: SourceStatus, workers: tuple[WorkerStatus, ...] = (), backlog: int = 0
) -> Status:
    snapshot = Snapshot(
        published=backlog,
        events=0,
        dead=0,
        dropped={},
        refused=0,
        redelivered=0,
        requeued=0,
        backlog=backlog,
        pending=0,
        dead_letters=3,
        dead_letter_bytes=0,
        event_entries=0,
        sources=sources,
        workers=workers,
    )
    return Status((snapshot,), NOW_NS)


def state(
    board: Board, now_s: float = 0.0, pictures: dict[str, SmoothedEvent] | None = None
) -> dict[str, Any]:
    """As the page gets it."""
    now_ns = NOW_NS + round(now_s * S)
    made = board.state(now_s, now_ns, pictures or {})
    read: dict[str, Any] = json.loads(json.dumps(made))
    return read


def card(board: Board, now_s: float = 0.0) -> dict[str, Any]:
    (found,) = state(board, now_s)["sources"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def board() -> Board:
    return Board("redis://here:6379")


def test_an_empty_board_says_whom_it_watches_and_nothing_else(board: Board) -> None:
    shown = state(board)
    assert shown["server"] == "redis://here:6379"
    assert shown["redis"] == {"state": "unknown"}
    assert shown["sources"] == []
    assert (shown["backlog"], shown["workers"], shown["latency"]) == (None, None, [None, None])


def test_a_person_is_shown_with_all_that_the_page_draws(board: Board) -> None:
    board.take(event(people=(person(4),)), 0.0)
    shown = card(board)
    assert shown["people"] == [
        {
            "track": 4,
            "voice": 4,
            "label": "happiness",
            "seen": True,
            "scores": {"happiness": 0.9, "neutral": 0.1},
            "at": [0.729, 0.459],
        }
    ]
    assert shown["room"] == [0.7, 0.4]
    assert state(board)["labels"] == {
        "happiness": {"colour": "#f2c14e", "at": [0.81, 0.51]},
        "neutral": {"colour": "#94a0b2", "at": [0.0, 0.0]},
    }


def test_a_picture_comes_with_the_boxes_of_its_own_event(board: Board) -> None:
    rejected = RejectedFace(Box(1, 2, 3, 4), "printed")
    then = event(3, people=(person(label="neutral", seen=False),), rejected=(rejected,))
    board.take(then, 0.0)
    board.take(event(4), 0.1)
    (shown,) = state(board, pictures={"cam": then})["sources"]
    assert shown["people"] == []
    assert shown["picture"] == {
        "id": "cam/s1/3",
        "size": [640, 480],
        "people": [{"track": 1, "label": "neutral", "box": [10, 20, 30, 40], "seen": False}],
        "rejected": [{"reason": "printed", "box": [1, 2, 3, 4]}],
    }


def test_a_source_that_goes_offline_has_nobody_in_it_and_tells_for_how_long(board: Board) -> None:
    board.take(record("started"), 0.0)
    board.take(event(people=(person(),)), 0.0)
    assert card(board)["state"] == "up"
    board.take(record("offline", at_s=2.0), 2.0)
    shown = card(board, 14.0)
    assert (shown["state"], shown["for"], shown["people"]) == ("offline", 12.0, [])
    board.take(record("started", at_s=20.0, session="s2"), 20.0)
    board.take(event(session="s2", people=(person(),)), 20.1)
    assert (card(board, 20.1)["state"], len(card(board, 20.1)["people"])) == ("up", 1)


def test_a_source_from_which_nothing_comes_is_silent_though_it_is_up(board: Board) -> None:
    board.take(event(), 5.0)
    assert card(board, 5.0)["silent"] == 0.0
    assert card(board, 12.5)["silent"] == 7.5


def test_an_older_status_does_not_bring_a_source_back(board: Board) -> None:
    board.take(record("ended", at_s=3.0), 3.0)
    board.see_status(status(SourceStatus("cam", 1, "s1", 9, "started", NOW_NS + 2 * S)), 3.1)
    assert card(board, 4.0)["state"] == "ended"


def test_status_brings_sources_counts_and_workers_that_are_alive(board: Board) -> None:
    workers = (WorkerStatus("a", 2, 0.5), WorkerStatus("gone", 0, 3600.0))
    board.see_status(
        status(SourceStatus("cam", 1, "s1", 9, "started", NOW_NS), workers=workers, backlog=17), 0.0
    )
    shown = state(board)
    assert (shown["backlog"], shown["workers"], shown["dead"]) == (17, 1, 3)
    assert shown["redis"] == {"state": "up"}
    assert [source["name"] for source in shown["sources"]] == ["cam"]


def test_what_ended_long_ago_is_not_on_the_page_and_leaves_it(board: Board) -> None:
    long_ago_ns = NOW_NS - round((FORGET_ENDED_S + 1) * S)
    board.see_status(status(SourceStatus("old", 1, "s1", 9, "ended", long_ago_ns)), 0.0)
    assert state(board)["sources"] == []
    board.take(SourceRecord("cam", "s1", "ended", long_ago_ns), 0.0)
    assert len(state(board)["sources"]) == 1
    board.see_status(status(), 1.0)
    assert state(board)["sources"] == []


def test_redis_in_trouble_is_told_with_since_when_until_it_answers(board: Board) -> None:
    board.see_trouble("no Redis at redis://here", NOW_NS)
    board.see_trouble("no Redis at redis://here", NOW_NS + 5 * S)
    assert state(board, 7.0)["redis"] == {
        "state": "away",
        "for": 7.0,
        "detail": "no Redis at redis://here",
    }
    board.see_status(status(), 8.0)
    assert state(board, 8.0)["redis"] == {"state": "up"}


def test_rate_and_latency_of_a_source_and_of_all(board: Board) -> None:
    for seq in range(40):
        board.take(event(seq, latency_ms=seq), seq / 10)
        board.take(event(seq, source="fast", latency_ms=100), seq / 10)
    shown = state(board, 4.0)
    cam, fast = shown["sources"]
    assert (cam["rate"], cam["latency"]) == (10.0, [20, 37])
    assert fast["latency"] == [100, 100]
    assert (shown["rate"], shown["latency"]) == (20.0, [70, 100])


def test_numbers_stand_still_long_enough_to_be_read(board: Board) -> None:
    board.take(event(latency_ms=10), 0.0)
    assert state(board, 0.0)["latency"] == [10, 10]
    board.take(event(1, latency_ms=500), 0.5)
    assert state(board, 0.5)["latency"] == [10, 10]
    assert state(board, 1.0)["latency"] == [255, 476]


def test_a_crowd_of_sources_is_bounded_and_counted(board: Board) -> None:
    for number in range(MOST_SOURCES + 3):
        board.take(event(source=f"cam{number}"), 0.0)
        board.take(event(1, source=f"cam{number}"), 0.0)
    shown = state(board)
    assert (len(shown["sources"]), shown["left_out"]) == (MOST_SOURCES, 3)


def test_a_clock_that_is_behind_gives_no_negative_age(board: Board) -> None:
    board.take(record("offline", at_s=30.0), 0.0)
    assert card(board)["for"] == 0.0


def test_a_rate_counts_from_the_first_and_starts_anew_after_a_silence() -> None:
    window = Window(span_s=5.0)
    assert window.rate(0.0) == 0.0
    for at in range(20):
        window.add(0.0, at / 10)
    assert window.rate(2.0) == pytest.approx(10.0)
    assert window.rate(60.0) == 0.0
    window.add(0.0, 100.0)
    assert window.rate(100.0) == 1.0
