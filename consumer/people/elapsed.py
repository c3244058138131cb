"""How much time lies between two frames, as the people in them lived it."""

from __future__ import annotations

from dataclasses import replace

from contract.event import EmotionEvent, SourceRecord
from contract.smoothed import SmoothedEvent


def elapsed_s(before: EmotionEvent | SmoothedEvent, after: EmotionEvent | SmoothedEvent) -> float:
    """Seconds from one event of a source to a later one, at least 0.

    By media time where both have it and it advanced: a file read as fast as the machine can has
    capture times that say nothing about the people in it. Otherwise by the clock of the capture.
    """
    if before.pts_ns is not None and after.pts_ns is not None and before.session == after.session:
        media_ns = after.pts_ns - before.pts_ns
        if media_ns > 0:
            return media_ns / 1e9
    return max(0, after.captured_at_ns - before.captured_at_ns) / 1e9


def continued(last: EmotionEvent | None, record: SourceRecord) -> EmotionEvent | None:
    """The last event before a record, for `elapsed_s`: where the source moves to another partition
    it counts as one of the new session, which goes on in the same media."""
    if last is None or not record.moved or record.state != "started":
        return last
    return replace(last, session=record.session)
