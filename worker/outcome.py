"""What becomes of one frame: somebody (or nobody) was seen in it, or it cannot be analysed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from contract.event import FaceEmotion
from contract.frame import FrameMessage


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame that was analysed; `faces` from most to least certain detection."""

    faces: tuple[FaceEmotion, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A frame that cannot be analysed: `reason` in one word, `detail` in a sentence."""

    reason: str
    detail: str


Outcome = Seen | Rejected


class FrameAnalyser(Protocol):
    """What the loop asks of an analyser."""

    @property
    def model_id(self) -> str:
        """What events carry as `model`."""
        ...

    @property
    def batch_size(self) -> int:
        """How many frames it is best given at once, under load."""
        ...

    @property
    def lanes(self) -> int:
        """How many batches it can use at the same time: `analyse` is called by so many threads."""
        ...

    def analyse(self, frames: Sequence[FrameMessage]) -> list[Outcome]:
        """One outcome per frame, in order. An exception fails the batch: its frames are then tried
        one by one."""
        ...

    def check(self) -> None:
        """Raise if not even a picture without anybody can be analysed: the device is broken."""
        ...
