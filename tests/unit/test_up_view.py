"""What the user sees while it runs: the picture on a terminal, the lines in a log."""

from __future__ import annotations

import io
import os

import pytest
from rich.console import Console

from contract.console import LastingConsole
from contract.event import Box, EmotionEvent, FaceEmotion, SourceRecord
from contract.smoothed import Person, SmoothedEvent
from deploy.local.render import MAX_PEOPLE, Renderer, bar
from deploy.local.status import Counts, Status
from deploy.local.tally import Tally
from deploy.local.view import LiveView, PlainView, QuietView, make_view

SECOND = 1_000_000_000


def event(source: str, seq: int, people: int) -> EmotionEvent:
    faces = tuple(
        FaceEmotion(
            Box(100 * i, 0, 100 * i + 40, 40), 0.9, "happiness", {"happiness": 1.0}, 0.8, 0.5
        )
        for i in range(people)
    )
    at_ns = 100 * SECOND + seq * SECOND // 10
    return EmotionEvent(
        source, "s", seq, at_ns, at_ns, at_ns + SECOND // 10, 640, 480, "m@0", faces
    )


def see(tally: Tally, seen: EmotionEvent, now_s: float) -> None:
    """The event, and its faces as people."""
    tally.add(seen, now_s)
    people = tuple(
        Person(n, n, face.box, True, face.label, face.scores, face.valence, face.arousal)
        for n, face in enumerate(seen.faces, 1)
    )
    tally.see(
        SmoothedEvent(
            seen.source, seen.session, seen.seq, seen.captured_at_ns, seen.pts_ns,
            seen.published_at_ns, seen.width, seen.height, people, None,
        )
    )  # fmt: skip


def started(source: str, frames: int | None = 100) -> SourceRecord:
    return SourceRecord(source, "s", "started", 100 * SECOND, frames)


def status(phase: str = "running", counts: Counts | None = None) -> Status:
    return Status(phase, 2, 2, counts or Counts(backlog=3), 12.0)


def lines(
    renderer: Renderer, tally: Tally, now_s: float, width: int, height: int = 40
) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(renderer.draw(tally, status(), now_s, width=width, height=height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 80, 120])
def test_every_line_fits_the_terminal(width: int) -> None:
    tally = Tally()
    for source, people in (("clip", 2), ("a-camera-with-quite-a-long-name-" * 3, 6), ("door", 0)):
        tally.add(started(source), 0.0)
        see(tally, event(source, 0, people), 0.1)
    shown = lines(Renderer(), tally, 0.2, width)
    # A console of that width would have broken a longer line into two.
    assert len(shown) == 2 + (5 + 1) + (3 + MAX_PEOPLE + 1) + (4 + 1)
    assert max(len(line) for line in shown) <= width


def test_a_short_terminal_gets_a_line_a_source() -> None:
    tally = Tally()
    for number in range(6):
        see(tally, event(f"camera{number}", 0, 3), 0.0)
    shown = lines(Renderer(), tally, 0.1, 80, height=12)
    assert len(shown) == 1 + 6 + 1
    assert "camera5" in shown[6]


def test_a_folder_of_many_files_shows_those_that_are_not_over() -> None:
    tally = Tally()
    for number in range(40):
        tally.add(started(f"clip{number}", 5), 0.0)
        if number < 38:
            tally.add(SourceRecord(f"clip{number}", "s", "ended", 1, 0), 0.1)
    shown = lines(Renderer(), tally, 0.2, 80, height=12)
    assert "38 are over" in shown[1]
    assert [line.split()[1] for line in shown[2:4]] == ["clip38", "clip39"]
    assert len(shown) <= 12


def test_the_picture_does_not_jump_when_people_leave() -> None:
    tally, renderer = Tally(), Renderer()
    tally.add(started("clip"), 0.0)
    see(tally, event("clip", 0, 3), 0.0)
    crowded = lines(renderer, tally, 0.1, 80)
    for seq in range(1, 20):
        see(tally, event("clip", seq, 0), seq / 10)
    empty = lines(renderer, tally, 2.0, 80)
    assert len(empty) == len(crowded)
    assert any("nobody in view" in line for line in empty)


def test_a_source_that_is_over_takes_one_line() -> None:
    tally, renderer = Tally(), Renderer()
    tally.add(started("clip"), 0.0)
    see(tally, event("clip", 0, 3), 0.0)
    tally.add(SourceRecord("clip", "s", "ended", 200 * SECOND, 1), 0.1)
    shown = lines(renderer, tally, 0.2, 80)
    assert len(shown) == 4
    assert shown[1].split() == ["✓", "clip", "1", "frames"]


@pytest.mark.parametrize(
    ("part", "coloured"), [(0, ""), (0.5, "━━━━━"), (0.56, "━━━━━╸"), (1, "━" * 10), (2, "━" * 10)]
)
def test_a_bar_is_as_long_as_its_part(part: float, coloured: str) -> None:
    text = bar(part, 10, "red")
    assert text.cell_len == 10
    track = sum(span.end - span.start for span in text.spans if span.style != "red")
    assert text.plain[: 10 - track] == coloured


def test_a_log_gets_at_most_two_lines_a_second_per_source() -> None:
    console = Console(file=io.StringIO(), width=80)
    tally = Tally()
    with make_view(console, quiet=False) as view:
        assert isinstance(view, PlainView)
        view.show(tally, status("loading"), 0.0)
        tally.add(started("clip"), 0.0)
        for seq in range(100):  # ten seconds at ten frames a second
            see(tally, event("clip", seq, 1), seq / 10)
            view.show(tally, status(), seq / 10)
        tally.add(SourceRecord("clip", "s", "ended", 200 * SECOND, 100), 10.0)
        view.show(tally, status(), 10.0)
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue().splitlines()
    assert said[:2] == ["loading the model", "running"]
    assert said[-1] == "clip: ended"
    seen = [line for line in said if "happiness 100%" in line]
    assert 18 <= len(seen) <= 21
    assert "10.0 frames/s, 100 ms" in seen[-1]


def test_quiet_says_nothing() -> None:
    console = Console(file=io.StringIO())
    with make_view(console, quiet=True) as view:
        assert isinstance(view, QuietView)
        view.say("hello")
        view.show(Tally(), status(), 0.0)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == ""


def test_it_falls_silent_when_nobody_reads_any_more() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        console = LastingConsole(file=stream)
        for _ in range(2):
            console.print("hello")
        print("neither does anybody else's line break it", file=stream, flush=True)


def test_a_terminal_gets_the_picture_and_is_left_clean() -> None:
    console = Console(file=io.StringIO(), width=80, height=20, force_terminal=True)
    tally = Tally()
    see(tally, event("clip", 0, 1), 0.0)
    with make_view(console, quiet=False) as view:
        assert isinstance(view, LiveView)
        view.say("listening")
        view.show(tally, status(), 0.1)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "happiness" in text
    assert text.rstrip().endswith("\x1b[2K"), "the picture is wiped away at the end"
