"""The same record at another time. No I/O."""

from __future__ import annotations

from dataclasses import replace

from contract import wire
from contract.event import EmotionEvent, Record


def shifted(record: Record, by_ns: int, run: int = 1) -> Record:
    """`record` with its wall-clock times `by_ns` later, as part of playing `run`.

    From the second run on the session is another one, ``SESSION+2`` and so on: within a session
    frames never come twice, and media times (`pts_ns`, which stay) never go back.
    """
    session = record.session if run == 1 else _session(record.session, f"+{run}")
    if isinstance(record, EmotionEvent):
        return replace(
            record,
            session=session,
            captured_at_ns=_later(record.captured_at_ns, by_ns),
            published_at_ns=_later(record.published_at_ns, by_ns),
        )
    return replace(record, session=session, at_ns=_later(record.at_ns, by_ns))


def captured_at_ns(record: Record) -> int:
    """Wall clock of the capture, or of a source record's moment."""
    return record.captured_at_ns if isinstance(record, EmotionEvent) else record.at_ns


def _later(at_ns: int, by_ns: int) -> int:
    return max(0, min(wire.INT64_MAX, at_ns + by_ns))  # what the wire takes


def _session(name: str, ending: str) -> str:
    return name[: wire.MAX_NAME_CHARS - len(ending)] + ending
