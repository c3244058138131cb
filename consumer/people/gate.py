"""Which faces are people: what is known of one face over time, and the verdict. No I/O.

Chosen on fourteen clips of one to three people (Intel's sample-videos) and the shipped clip, faces
of 50 to 170 pixels; rules for printed faces, and where they fail: `consumer.people.printed`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from contract.event import FaceEmotion
from contract.smoothed import Rejection

_AVERAGE_S = 0.5  # time constant of size, sharpness and detection
_LONG_S = 2.0  # of what tells a print from a face
_JUMPS_S = 1.0
_JUMP_EVERY_S = 0.2  # quicker changes than that are noise of the classifier
_KEEP = 0.8  # a person stays one down to this share of the thresholds
_SHARPNESS_SIDE_PX = 96.0
_SHARPNESS_POWER = 1.5  # measured: faces of the clips, pictures scaled by 0.35 to 1


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What a face must be to be a person; 0 switches a rule off.

    small_px       least height of the box in pixels: the shipped model gets 79 % of FER+ right at
                   24 pixels a side, 90 % from 48 on
    unsure         least certainty of the detector, 0..1, averaged over about half a second
    blurred        least sharpness for its size (`Dossier.detail`), averaged. The softest real face
                   of the clips has 0.009, one blurred by 3-5 % of its height 0.005: the measure
                   tells only great blur. Faces of unknown sharpness pass
    printed_cues   how many cues of a print make one of a face on somebody's torso, of at most six
                   (`consumer.people.printed`)
    erratic_per_s  most change of expression: of probability that moves from one emotion to another
                   in a second. The liveliest real face of the clips has 1.6, the print 3.4
    brief_s        how long a face is followed before it is a person, and at least two frames
    """

    small_px: float = 24.0
    unsure: float = 0.55
    blurred: float = 0.006
    printed_cues: int = 3
    erratic_per_s: float = 2.5
    brief_s: float = 0.15

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0.0 <= value < math.inf:
                raise ValueError(f"{field.name}: expected 0 or more, got {value}")


class Dossier:
    """What is known of one face, averaged over seconds, whatever the number of frames.

    width, height   pixels
    detail          sharpness, as if the face were 96 pixels high: it grows with the size in pixels
                    to the power 1.5. None while unknown
    squareness      width by height; 0.65-0.8 in a face that looks here, up to 1.1 looking down
    jumps_per_s     how much probability moves between emotions
    """

    __slots__ = (
        "_count", "_jumped_s", "_scores", "detail", "detection", "height", "jumps_per_s",
        "long_detail", "squareness", "width",
    )  # fmt: skip

    def __init__(self, face: FaceEmotion, now_s: float) -> None:
        box = face.box
        self.width = float(box.right - box.left)
        self.height = float(box.bottom - box.top)
        self.detection = face.detection
        self.squareness = self.width / self.height
        self.detail = self.long_detail = _detail(face)
        self.jumps_per_s = 0.0
        self._count = 1
        self._scores = face.scores
        self._jumped_s = now_s

    def add(self, face: FaceEmotion, now_s: float, dt_s: float) -> None:
        """The face as seen again, `dt_s` after the last time."""
        box = face.box
        width, height = box.right - box.left, box.bottom - box.top
        self._count += 1
        mean = 1.0 / self._count  # at first all frames count alike: the first can be an odd one
        new = max(mean, dt_s / (_AVERAGE_S + dt_s))
        slow = max(mean, dt_s / (_LONG_S + dt_s))
        self.width += new * (width - self.width)
        self.height += new * (height - self.height)
        self.detection += new * (face.detection - self.detection)
        self.squareness += slow * (width / height - self.squareness)
        if face.sharpness is not None:
            detail = _detail(face) or 0.0
            if self.detail is None or self.long_detail is None:
                self.detail = self.long_detail = detail
            else:
                self.detail += new * (detail - self.detail)
                self.long_detail += slow * (detail - self.long_detail)
        since_s = now_s - self._jumped_s
        if since_s >= _JUMP_EVERY_S:
            before = self._scores
            moved = sum([abs(p - before.get(label, 0.0)) for label, p in face.scores.items()]) / 2
            self.jumps_per_s += (
                since_s / (_JUMPS_S + since_s) * (moved / since_s - self.jumps_per_s)
            )
            self._scores, self._jumped_s = face.scores, now_s

    def fault(self, options: GateOptions, *, is_person: bool) -> Rejection | None:
        """What speaks against this face on its own; None if nothing does."""
        least = _KEEP if is_person else 1.0
        if self.height < options.small_px * least:
            return "small"
        if self.detection < options.unsure * least:
            return "unsure"
        if self.detail is not None and self.detail < options.blurred * least:
            return "blurred"
        # One found erratic must be a good deal calmer to be believed again.
        if options.erratic_per_s and self.jumps_per_s > options.erratic_per_s * (
            1.0 if is_person else _KEEP * _KEEP
        ):
            return "erratic"
        return None


def _detail(face: FaceEmotion) -> float | None:
    if face.sharpness is None:
        return None
    height = face.box.bottom - face.box.top
    return face.sharpness * math.pow(_SHARPNESS_SIDE_PX / height, _SHARPNESS_POWER)
