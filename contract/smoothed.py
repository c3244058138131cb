"""What a music generator plays from: people instead of faces, steady instead of flickering.

`emotion-events` and `emotion-up` make one `SmoothedEvent` of every `EmotionEvent`, and a
`Transition` whenever somebody comes, goes or changes expression. Source records pass unchanged.
Same times, names and ranges as in `contract.event`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from contract import wire
from contract.affect import Affect
from contract.errors import DecodeError
from contract.event import Box, SourceRecord, affect, box, face_scores, source_record_from

Change = Literal["person_entered", "person_left", "emotion_changed"]
Rejection = Literal["small", "blurred", "unsure", "printed", "brief", "erratic"]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is there, at one moment.

    track     from 1, stays with the person, and is never given to another of the same source
    voice     from 1, the lowest number nobody else of the source holds just now; for instruments
              with a fixed number of voices
    box       where the face is; where it would be by now while `seen` is false
    seen      whether a face was found in this very frame; a person is kept through short gaps
    label     the steady emotion: it changes only after hysteresis and dwell
    scores    label -> smoothed probability; they sum to 1. `label` need not be the greatest
    valence   of the smoothed scores, -1 (unpleasant) .. 1 (pleasant)
    arousal   of the smoothed scores, -1 (calm) .. 1 (excited)
    """

    track: int
    voice: int
    box: Box
    seen: bool
    label: str
    scores: Mapping[str, float]
    valence: float
    arousal: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "track": self.track,
            "voice": self.voice,
            "box": self.box.to_list(),
            "seen": self.seen,
            "label": self.label,
            "scores": dict(self.scores),
            "valence": self.valence,
            "arousal": self.arousal,
        }


@dataclass(frozen=True, slots=True)
class RejectedFace:
    """A face the detector found and no person was made of.

    reason   small: too few pixels; blurred: too few details; unsure: the detector doubts it;
             printed: it sits on somebody's clothes; brief: not there long enough yet;
             erratic: its expression jumps as no face's does
    """

    box: Box
    reason: Rejection

    def to_dict(self) -> dict[str, Any]:
        return {"box": self.box.to_list(), "reason": self.reason}


@dataclass(frozen=True, slots=True)
class SmoothedEvent:
    """The people of one source at one capture; made of the event with the same `id`.

    people   in the order of their tracks; empty when nobody is there
    room     the mood of all people together, weighted by size and certainty; None without people
    """

    source: str
    session: str
    seq: int
    captured_at_ns: int
    pts_ns: int | None
    published_at_ns: int
    width: int
    height: int
    people: tuple[Person, ...]
    room: Affect | None
    rejected: tuple[RejectedFace, ...] = ()

    @property
    def id(self) -> str:
        """``source/session/seq``."""
        return f"{self.source}/{self.session}/{self.seq}"

    def to_dict(self) -> dict[str, Any]:
        """The message as plain values: what msgpack and JSON lines hold, with the same names."""
        return {
            "v": wire.VERSION,
            "kind": "smoothed",
            "id": self.id,
            "source": self.source,
            "session": self.session,
            "seq": self.seq,
            "captured_at_ns": self.captured_at_ns,
            "pts_ns": self.pts_ns,
            "published_at_ns": self.published_at_ns,
            "width": self.width,
            "height": self.height,
            "people": [person.to_dict() for person in self.people],
            "room": None if self.room is None else self.room.to_dict(),
            "rejected": [face.to_dict() for face in self.rejected],
        }

    def encode(self) -> bytes:
        """The msgpack bytes of field ``m``. Raises `EncodeError` if a limit is broken."""
        fields = self.to_dict()
        wire.require_all(fields, _SMOOTHED)
        return wire.pack(wire.to_send(fields), limit=wire.MAX_EVENT_BYTES)


@dataclass(frozen=True, slots=True)
class Transition:
    """Somebody came, went or changed expression, at the capture `at_ns`.

    label    the emotion from now on; of somebody who left, the last one
    before   in `emotion_changed`, the emotion until now
    """

    source: str
    session: str
    change: Change
    at_ns: int
    track: int
    voice: int
    label: str
    before: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The message as plain values: what msgpack and JSON lines hold, with the same names."""
        return {
            "v": wire.VERSION,
            "kind": "transition",
            "source": self.source,
            "session": self.session,
            "change": self.change,
            "at_ns": self.at_ns,
            "track": self.track,
            "voice": self.voice,
            "label": self.label,
            "before": self.before,
        }

    def encode(self) -> bytes:
        """The msgpack bytes of field ``m``. Raises `EncodeError` if a limit is broken."""
        fields = self.to_dict()
        wire.require_all(fields, _TRANSITION)
        return wire.pack(wire.to_send(fields), limit=wire.MAX_EVENT_BYTES)


Signal = SmoothedEvent | Transition | SourceRecord


def decode_signal(entry: wire.Entry) -> Signal:
    """What an entry of the stream of smoothed events holds. Raises `DecodeError`."""
    message = wire.unpack(entry, limit=wire.MAX_EVENT_BYTES, containers=wire.MAX_EVENT_CONTAINERS)
    return signal_from_dict(wire.current(message))


def signal_from_dict(message: Mapping[str, Any]) -> Signal:
    """The signal a `to_dict` (or a line of JSON) came from. Raises `DecodeError`."""
    kind = wire.get(message, "kind", wire.one_of("smoothed", "transition", "source"))
    if kind == "source":
        return source_record_from(message)
    if kind == "transition":
        return Transition(**wire.get_all(message, _TRANSITION))
    return SmoothedEvent(**wire.get_all(message, _SMOOTHED))


def _people(value: Any) -> tuple[Person, ...]:
    return tuple(Person(**wire.get_all(item, _PERSON)) for item in _maps(value, "people"))


def _rejected(value: Any) -> tuple[RejectedFace, ...]:
    return tuple(RejectedFace(**wire.get_all(item, _REJECTED)) for item in _maps(value, "rejected"))


def _maps(value: Any, key: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or len(value) > wire.MAX_FACES:
        raise ValueError(f"expected a list of at most {wire.MAX_FACES} maps")
    for item in value:
        if not isinstance(item, dict):
            raise DecodeError("malformed", f"{key}: expected maps, got {type(item).__name__}")
    return value


def _room(value: Any) -> Affect | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError("expected a map or nil")
    return Affect(wire.get(value, "valence", affect), wire.get(value, "arousal", affect))


_number = wire.integer(1)
_PERSON: wire.Checks = {
    "track": _number,
    "voice": _number,
    "box": box,
    "seen": wire.boolean,
    "label": wire.name,
    "scores": face_scores,
    "valence": affect,
    "arousal": affect,
}
_REJECTED: wire.Checks = {"box": box, "reason": wire.one_of(*get_args(Rejection))}
_SMOOTHED: wire.Checks = {
    "source": wire.name,
    "session": wire.name,
    "seq": wire.integer(0),
    "captured_at_ns": wire.integer(0),
    "pts_ns": wire.optional(wire.integer(-wire.INT64_MAX)),
    "published_at_ns": wire.integer(0),
    "width": wire.integer(1, wire.MAX_IMAGE_SIDE_PX),
    "height": wire.integer(1, wire.MAX_IMAGE_SIDE_PX),
    "people": _people,
    "room": _room,
    "rejected": _rejected,
}
_TRANSITION: wire.Checks = {
    "source": wire.name,
    "session": wire.name,
    "change": wire.one_of(*get_args(Change)),
    "at_ns": wire.integer(0),
    "track": _number,
    "voice": _number,
    "label": wire.name,
    "before": wire.optional(wire.name),
}
