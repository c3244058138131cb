"""Who is who in the event files of `tests/data/events`, and how well a tracker told them apart."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from consumer.people.tracked import TrackedEvent
from contract.event import Box, EmotionEvent, record_from_dict

EVENTS = Path(__file__).parent / "data" / "events"

Who = Callable[[float, Box], str | None]  # media time in seconds and a box -> a name, None: nobody


def one(at_s: float, box: Box) -> str | None:
    return "one"


def shirt(at_s: float, box: Box) -> str | None:
    """The wearer's face begins 60-80 pixels from the top, the print at 170 and lower."""
    return "wearer" if box.top < 130 else None


def side_by_side(at_s: float, box: Box) -> str | None:
    return "left" if _middle(box) < 240 else "right"


def three(at_s: float, box: Box) -> str | None:
    """The third is found in two frames only, two thirds of a second apart."""
    return ("left", "middle", "right")[(_middle(box) > 150) + (_middle(box) > 290)]


def demo(at_s: float, box: Box) -> str | None:
    """The scenes of `deploy/demo/make_clip.py`."""
    if at_s < 6.1:
        return "hopper" if at_s > 3.5 and _middle(box) > 330 else "collins"
    if at_s < 9.5:
        return "hopper"
    return "man" if at_s > 12.0 and _middle(box) > 270 else "woman"


def _middle(box: Box) -> float:
    return (box.left + box.right) / 2


@dataclass(frozen=True)
class Clip:
    """How many people there are to find, and which face is whose."""

    people: int
    who: Who


CLIPS = {
    **dict.fromkeys(("again", "brother", "help"), Clip(1, shirt)),
    **dict.fromkeys(("bird", "book", "eat", "hungry", "learn", "milk", "night"), Clip(1, one)),
    "face-demographics-walking-and-pause": Clip(2, three),
    "head-pose-face-detection-female": Clip(1, one),
    "head-pose-face-detection-female-and-male": Clip(2, side_by_side),
    "head-pose-face-detection-male": Clip(1, one),
    "people": Clip(4, demo),
}
SHIRTS = ("again", "brother", "help")


def read(name: str, folder: Path = EVENTS) -> list[EmotionEvent]:
    """The events of a clip, from ``NAME.jsonl.gz`` or ``NAME.jsonl``."""
    packed = folder / f"{name}.jsonl.gz"
    if packed.exists():
        text = gzip.decompress(packed.read_bytes()).decode()
    else:
        text = (folder / f"{name}.jsonl").read_text("utf-8")
    records = (record_from_dict(json.loads(line)) for line in text.splitlines())
    return [record for record in records if isinstance(record, EmotionEvent)]


def at_rate(events: Sequence[EmotionEvent], fps: float) -> list[EmotionEvent]:
    """The events a camera of at most `fps` frames a second would have given."""
    kept: list[EmotionEvent] = []
    due_s = 0.0
    for event in events:
        at_s = media_s(event)
        if at_s >= due_s - 0.001:
            kept.append(event)
            due_s = max(due_s + 1 / fps, at_s + 0.5 / fps)
    return kept


def media_s(event: EmotionEvent) -> float:
    return (event.captured_at_ns if event.pts_ns is None else event.pts_ns) / 1e9


@dataclass(frozen=True)
class Result:
    """What became of the people of a clip.

    tracks     people the tracker saw
    found      of the true ones, those that were people at some time
    switches   how often a true person's face got another track than the time before
    false      tracks that were given to what is nobody's face
    rejected   faces by reason
    delays_ms  of each true person that was found: from the first face to being a person
    lost_s     the longest time a face of a true person was found and no person's, after it was one
    """

    tracks: int
    found: int
    switches: int
    false: int
    rejected: Counter[str]
    delays_ms: list[float]
    lost_s: float


def judge(events: Iterable[TrackedEvent], who: Who) -> Result:
    """Hold a tracker's events against the truth."""
    last: dict[str, int] = {}
    first_s: dict[str, float] = {}
    delays_ms: dict[str, float] = {}
    lost_at_s: dict[str, float] = {}
    lost_s = 0.0
    switches = 0
    tracks: set[int] = set()
    false: set[int] = set()
    rejected: Counter[str] = Counter()
    for seen in events:
        at_s = media_s(seen.event)
        for person in seen.people:
            tracks.add(person.track)
            if person.face is None:
                continue
            name = who(at_s, person.box)
            if name is None:
                false.add(person.track)
                continue
            switches += last.setdefault(name, person.track) != person.track
            last[name] = person.track
            delays_ms.setdefault(name, (at_s - first_s.setdefault(name, at_s)) * 1e3)
            lost_at_s.pop(name, None)
        for face in seen.rejected:
            rejected[face.reason] += 1
            name = who(at_s, face.box)
            if name is None:
                continue
            first_s.setdefault(name, at_s)
            if name in last:
                lost_s = max(lost_s, at_s - lost_at_s.setdefault(name, at_s))
    return Result(
        len(tracks), len(last), switches, len(false), rejected, list(delays_ms.values()), lost_s
    )
