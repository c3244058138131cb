"""Pictures and the events that belong to them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from consumer.view import album as module
from consumer.view.album import Album
from contract.frame import FrameMessage
from contract.smoothed import SmoothedEvent


def frame(seq: int, *, session: str = "s1", image: bytes = b"jpeg") -> FrameMessage:
    return FrameMessage("cam", session, seq, 0, None, 64, 48, image + b"%d" % seq)


def event(seq: int, *, session: str = "s1") -> SmoothedEvent:
    return SmoothedEvent("cam", session, seq, 0, None, 0, 64, 48, (), None)


def test_a_picture_is_shown_with_its_own_event_and_not_before() -> None:
    album = Album()
    album.put(frame(3))
    assert album.shown("cam") is None
    assert not album.match(event(2))
    assert album.jpeg("cam/s1/3") is None
    assert album.match(event(3))
    assert album.shown("cam") == event(3)
    assert album.jpeg("cam/s1/3") == b"jpeg3"


def test_a_picture_whose_event_never_came_makes_way() -> None:
    album = Album()
    for seq in (1, 5, 9):
        album.put(frame(seq))
    assert not album.match(event(6))
    assert not album.match(event(5)), "an event of a source comes once, in capture order"
    assert album.match(event(9))


def test_the_picture_before_can_still_be_fetched_and_older_ones_cannot() -> None:
    album = Album()
    for seq in range(5):
        album.put(frame(seq))
        album.match(event(seq))
    assert [album.jpeg(f"cam/s1/{seq}") is None for seq in range(5)] == [True] * 2 + [False] * 3


@pytest.mark.parametrize("backlog", [10, 30, 250, 2000])
def test_pictures_come_evenly_however_long_the_backlog(backlog: int) -> None:
    album = Album()
    shown = []
    for seq in range(6 * backlog):
        album.put(frame(seq))
        if seq >= backlog and album.match(event(seq - backlog)):
            shown.append(seq - backlog)
    later = [seq for seq in shown if seq > backlog]  # once it is used to the backlog
    gaps = [second - first for first, second in pairwise(later)]
    assert max(gaps) <= max(1, backlog / 2)
    assert len(later) >= min(4 * backlog, 20)


def test_large_pictures_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING_BYTES", 1000)
    album = Album()
    for seq in range(10):
        album.put(frame(seq, image=b"x" * 300))
    assert 1 <= sum(album.match(event(seq)) for seq in range(10)) <= 3


def test_a_picture_as_large_as_all_the_room_waits_for_its_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING_BYTES", 1000)
    album = Album()
    for seq in range(10):
        album.put(frame(seq, image=b"x" * 900))
    assert album.match(event(0))
    album.put(frame(20, image=b"x" * 900))
    album.put(frame(0, session="s2", image=b"x" * 900))
    assert album.match(event(0, session="s2"))


def test_a_new_session_leaves_the_pictures_of_the_old_one_behind() -> None:
    album = Album()
    album.put(frame(7))
    album.put(frame(0, session="s2"))
    assert album.match(event(0, session="s2"))
    assert not album.match(event(7))


def test_events_of_the_old_session_that_come_late_do_not_touch_the_new_one() -> None:
    album = Album()
    album.put(frame(0, session="s2"))
    assert not album.match(event(8))
    assert album.match(event(0, session="s2"))


def test_a_source_that_is_forgotten_leaves_nothing() -> None:
    album = Album()
    album.put(frame(0))
    album.match(event(0))
    album.forget("cam")
    assert album.shown("cam") is None
    assert album.jpeg("cam/s1/0") is None


def test_nonsense_is_no_picture() -> None:
    album = Album()
    assert [album.jpeg(name) for name in ("", "cam", "cam/s1/0", "/", "cam/s1/../0")] == [None] * 5
