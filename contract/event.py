"""What comes out: one event per frame, and the records that say when a source starts and stops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

from contract import wire
from contract.errors import DecodeError

SourceState = Literal["started", "ended", "offline"]


@dataclass(frozen=True, slots=True)
class Box:
    """A face's pixels in the frame as sent: ``left <= x < right``, ``top <= y < bottom``."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def to_list(self) -> list[int]:
        """``[left, top, right, bottom]``, as on the wire."""
        return [self.left, self.top, self.right, self.bottom]


@dataclass(frozen=True, slots=True)
class FaceEmotion:
    """One face.

    box         where it is
    detection   the detector's confidence, 0..1
    label       the most probable emotion
    scores      label -> calibrated probability; they sum to 1
    valence     -1 (unpleasant) .. 1 (pleasant)
    arousal     -1 (calm) .. 1 (excited)
    sharpness   0 (flat or blurred) and up, see `worker.faces.sharpness`; None from a worker that
                does not measure it
    """

    box: Box
    detection: float
    label: str
    scores: Mapping[str, float]
    valence: float
    arousal: float
    sharpness: float | None = None

    def to_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "box": self.box.to_list(),
            "detection": self.detection,
            "label": self.label,
            "scores": dict(self.scores),
            "valence": self.valence,
            "arousal": self.arousal,
        }
        if self.sharpness is not None:
            fields["sharpness"] = self.sharpness
        return fields


@dataclass(frozen=True, slots=True)
class EmotionEvent:
    """What was seen in one frame; `faces` is empty when nobody was, so that clocks still advance.

    Times are nanoseconds since the epoch, except `pts_ns`, the media time of the frame.
    `model` is ``name@first 12 digits of the artifact's sha256``.
    """

    source: str
    session: str
    seq: int
    captured_at_ns: int
    pts_ns: int | None
    published_at_ns: int
    width: int
    height: int
    model: str
    faces: tuple[FaceEmotion, ...]

    @property
    def id(self) -> str:
        """``source/session/seq``, the same as the frame's."""
        return f"{self.source}/{self.session}/{self.seq}"

    @property
    def latency_s(self) -> float:
        """Capture to publication in seconds; negative when two hosts' clocks disagree."""
        return (self.published_at_ns - self.captured_at_ns) / 1e9

    def to_dict(self) -> dict[str, Any]:
        """The message as plain values: what msgpack and JSON lines hold, with the same names."""
        return {
            "v": wire.VERSION,
            "kind": "frame",
            "id": self.id,
            "source": self.source,
            "session": self.session,
            "seq": self.seq,
            "captured_at_ns": self.captured_at_ns,
            "pts_ns": self.pts_ns,
            "published_at_ns": self.published_at_ns,
            "width": self.width,
            "height": self.height,
            "model": self.model,
            "faces": [face.to_dict() for face in self.faces],
        }

    def encode(self) -> bytes:
        """The msgpack bytes of field ``m``. Raises `EncodeError` if a limit is broken."""
        fields = self.to_dict()
        wire.require_all(fields, _EVENT)
        return wire.pack(wire.to_send(fields), limit=wire.MAX_EVENT_BYTES)


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A source started, ended (file over, producer stopped) or went offline (camera lost).

    frames   in `started`: how many the container expects, None if unknown; in `ended` and
             `offline`: how many frames of this session were captured, so that a reader knows
             when it has them all
    moved    the source goes on in another partition (`ended`), or comes from one (`started`):
             nothing happened to the camera, and nobody left its picture
    """

    source: str
    session: str
    state: SourceState
    at_ns: int
    frames: int | None = None
    moved: bool = False

    @property
    def is_end(self) -> bool:
        """Whether nothing more comes of the source for now."""
        return self.state != "started" and not self.moved

    def to_dict(self) -> dict[str, Any]:
        """The message as plain values: what msgpack and JSON lines hold, with the same names."""
        fields = {
            "v": wire.VERSION,
            "kind": "source",
            "source": self.source,
            "session": self.session,
            "state": self.state,
            "at_ns": self.at_ns,
            "frames": self.frames,
        }
        if self.moved:
            fields["moved"] = True
        return fields

    def encode(self) -> bytes:
        """The msgpack bytes of field ``m``. Raises `EncodeError` if a limit is broken."""
        fields = self.to_dict()
        wire.require_all(fields, _SOURCE)
        return wire.pack(wire.to_send(fields), limit=wire.MAX_EVENT_BYTES)


Record = EmotionEvent | SourceRecord


def decode_record(entry: wire.Entry) -> Record:
    """The event or source record in an entry of the events stream. Raises `DecodeError`."""
    message = wire.unpack(entry, limit=wire.MAX_EVENT_BYTES, containers=wire.MAX_EVENT_CONTAINERS)
    return record_from_dict(wire.current(message))


def record_from_dict(message: Mapping[str, Any]) -> Record:
    """The record a `to_dict` (or a line of JSON) came from. Raises `DecodeError`."""
    if wire.get(message, "kind", _kind) == "source":
        return source_record_from(message)
    return EmotionEvent(**wire.get_all(message, _EVENT))


def source_record_from(message: Mapping[str, Any]) -> SourceRecord:
    """The record of a message of kind "source". Raises `DecodeError`."""
    return SourceRecord(**wire.get_all(message, _SOURCE))


def _faces(value: Any) -> tuple[FaceEmotion, ...]:
    if not isinstance(value, list) or len(value) > wire.MAX_FACES:
        raise ValueError(f"expected a list of at most {wire.MAX_FACES} faces")
    return tuple(_face(item) for item in value)


def _face(value: Any) -> FaceEmotion:
    if not isinstance(value, dict):
        raise DecodeError("malformed", f"faces: expected maps, got {type(value).__name__}")
    return FaceEmotion(**wire.get_all(value, _FACE))


def box(value: Any) -> Box:
    """A check for a box."""
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError("expected [left, top, right, bottom]")
    left, top, right, bottom = map(_edge, value)
    if not (left < right and top < bottom):
        raise ValueError("expected left < right and top < bottom")
    return Box(left, top, right, bottom)


def face_scores(value: Any) -> dict[str, float]:
    """A check for the scores of a face."""
    if not isinstance(value, dict) or not 0 < len(value) <= wire.MAX_LABELS:
        raise ValueError(f"expected a map of 1-{wire.MAX_LABELS} labels to probabilities")
    if _are_names(tuple(value)):
        for score in value.values():
            if type(score) is not float or not 0.0 <= score <= 1.0:
                break
        else:
            return dict(value)
    return {wire.name(label): _probability(score) for label, score in value.items()}


@lru_cache(maxsize=64)
def _are_names(labels: tuple[Any, ...]) -> bool:
    """Whether `wire.name` takes all of them; a model's labels are the same in every face."""
    try:
        for label in labels:
            wire.name(label)
    except ValueError:
        return False
    return True


_kind = wire.one_of("frame", "source")
_edge = wire.integer(0, wire.MAX_IMAGE_SIDE_PX)
_side = wire.integer(1, wire.MAX_IMAGE_SIDE_PX)
_time_ns = wire.integer(0)
_probability = wire.number(0.0, 1.0)
affect = wire.number(-1.0, 1.0)

# What each field must be: encode and decode refuse the same.
_FACE: wire.Checks = {
    "box": box,
    "detection": _probability,
    "label": wire.name,
    "scores": face_scores,
    "valence": affect,
    "arousal": affect,
    "sharpness": wire.optional(wire.number(0.0, 1e6)),
}
_EVENT: wire.Checks = {
    "source": wire.name,
    "session": wire.name,
    "seq": wire.integer(0),
    "captured_at_ns": _time_ns,
    "pts_ns": wire.optional(wire.integer(-wire.INT64_MAX)),
    "published_at_ns": _time_ns,
    "width": _side,
    "height": _side,
    "model": wire.name,
    "faces": _faces,
}
_SOURCE: wire.Checks = {
    "source": wire.name,
    "session": wire.name,
    "state": wire.one_of(*get_args(SourceState)),
    "at_ns": _time_ns,
    "frames": wire.optional(wire.integer(0)),
    "moved": lambda value: value is not None and wire.boolean(value),
}
