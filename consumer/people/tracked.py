"""Who is in a frame: what tracking hands to smoothing."""

from __future__ import annotations

from dataclasses import dataclass

from contract.event import Box, EmotionEvent, FaceEmotion
from contract.smoothed import RejectedFace


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """A person in one frame; `track` and `voice` as in `contract.smoothed.Person`.

    box    where the face is, or would be by now if it was not seen
    face   as measured; None if it was not seen in this frame
    """

    track: int
    voice: int
    box: Box
    face: FaceEmotion | None


@dataclass(frozen=True, slots=True)
class TrackedEvent:
    """An event with its people, in the order of their tracks, and the faces that are none.

    A track that is absent from `people` has left.
    """

    event: EmotionEvent
    people: tuple[TrackedFace, ...]
    rejected: tuple[RejectedFace, ...]
