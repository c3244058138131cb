"""The closing table and the counts below it."""

from __future__ import annotations

import io

from rich.console import Console

from contract.event import Box, EmotionEvent, FaceEmotion, SourceRecord
from contract.snapshot import Snapshot
from deploy.local.status import Counts
from deploy.local.summary import conservation, summarise
from deploy.local.tally import Tally

SECOND = 1_000_000_000


def snapshot(
    published: int = 0,
    events: int = 0,
    dead: int = 0,
    dropped: dict[str, int] | None = None,
    backlog: int = 0,
) -> Snapshot:
    return Snapshot(
        published=published,
        events=events,
        dead=dead,
        dropped=dropped or {},
        refused=0,
        redelivered=0,
        requeued=0,
        backlog=backlog,
        pending=0,
        dead_letters=0,
        dead_letter_bytes=0,
        event_entries=0,
        sources=(),
        workers=(),
    )


def test_counts_of_this_run_are_what_the_run_added() -> None:
    before = snapshot(published=100, events=80, dead=5, dropped={"stale": 5}, backlog=10)
    now = snapshot(published=160, events=130, dead=6, dropped={"stale": 5, "full": 9}, backlog=10)
    counts = Counts.between([before], [now])
    assert counts.published == 70  # 60 new ones, and the 10 that already waited
    assert counts.events == 50
    assert counts.dead == 1
    assert counts.dropped == {"full": 9}
    assert counts.backlog == 10
    assert counts.unaccounted == 0


def test_the_equation_names_what_was_lost() -> None:
    fine = Counts(published=10, events=10)
    assert conservation(fine) == (
        "10 frames published = 10 events + 0 dead + 0 dropped + 0 waiting"
    )
    rough = Counts(
        published=10, events=4, dead=1, dropped={"full": 2, "stale": 1}, backlog=1, redelivered=3
    )
    text = conservation(rough)
    assert "3 dropped (2 full, 1 stale)" in text
    assert "1 UNACCOUNTED FOR" in text
    assert "3 redelivered" in text


def render(tally: Tally, counts: Counts, width: int = 80, missed: int = 0) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(summarise(tally, counts, missed=missed))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def seen(source: str, frames: int, label: str) -> Tally:
    tally = Tally()
    add(tally, source, frames, label)
    return tally


def add(tally: Tally, source: str, frames: int, label: str) -> None:
    face = FaceEmotion(Box(0, 0, 9, 9), 0.9, label, {label: 1.0}, 0.0, 0.0)
    for seq in range(frames):
        at_ns = 100 * SECOND + seq * SECOND // 10
        tally.add(
            EmotionEvent(
                source, "s", seq, at_ns, None, at_ns + SECOND // 20, 64, 48, "m@0", (face,)
            ),
            seq / 10,
        )
    tally.add(SourceRecord(source, "s", "ended", 200 * SECOND, frames), frames / 10)


def test_one_source_at_eighty_columns() -> None:
    text = render(seen("clip", 11, "happiness"), Counts(published=11, events=11))
    row = next(line for line in text.splitlines() if "clip" in line)
    assert row.split() == ["clip", "11", "11", "11", "10.5", "50", "50", "50"]
    assert "happiness" in text
    assert "100.0%" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_several_sources_have_a_line_for_all_of_them() -> None:
    tally = seen("left", 10, "happiness")
    add(tally, "right", 30, "anger")
    text = render(tally, Counts(published=40, events=40))
    row = next(line for line in text.splitlines() if line.strip().startswith("all"))
    assert row.split()[1:4] == ["40", "40", "40"]
    assert "75.0%" in text
    assert "25.0%" in text


def test_nothing_seen_is_a_summary_too() -> None:
    text = render(Tally(), Counts(), missed=3)
    assert "0 frames published" in text
    assert "3 events were trimmed" in text
