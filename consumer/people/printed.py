"""Faces printed on clothes. No I/O; all lengths are in heights of the wearer's face.

A print is no worse a face than others, often it is sharper and surer. What gives it away is that
somebody wears it: it stays on the torso below that person's face. So do the faces of a child in
front of an adult and of the front row of an audience, therefore the place alone convicts nobody;
it takes cues of a print besides:

    larger    at least 1.4 times as wide as the wearer's face
    sharper   at least 2 times the detail of the wearer's face at the same size
    square    at least 0.82 as wide as high, and 1.12 times that of the wearer's face
    jumpy     its expression changes by more than 1.5 a second
    rigid     it went along when the wearer moved; counts twice

What clears a face: it was, with the other in sight, where no print of that person's could be; or it
moved by a good part of a face against the other, as heads do and chests do not.

Chosen on one print, the large skull on one shirt in three of Intel's clips (2.1 times as wide, 3-5
times the detail, 0.9 square against 0.75; twice it hardly changes its expression), and on synthetic
counter-examples (tests/unit/test_gate.py). It fails

- where a print is no larger than a face, soft and of a face's shape: it is a person for good, or,
  with one of these cues, until its wearer has walked a face's height;
- where the wearer's face is not found at all, or first more than a moment after the print;
- where the head moves so much against the chest that the print is cleared: for ten seconds.

It wrongs somebody who keeps quite still low in front of another, nearer to the camera by half, in
sharper light and looking down, until either of them moves or that one looks up.
"""

from __future__ import annotations

from math import hypot

from consumer.people.gate import Dossier
from consumer.people.motion import Motion

LARGER = 1.4
SHARPER = 2.0
SQUARE, SQUARER = 0.82, 1.12
JUMPY_PER_S = 1.5
RIGID_WEIGHT = 2

# The torso: how far off the middle, and from the chin down to the print's upper edge.
_ASIDE = 0.5
_HIGHEST, _LOWEST = -0.1, 1.2
# No print can be there, with a margin for nods and folds.
_FAR_ASIDE, _FAR_HIGHEST, _FAR_LOWEST = 1.0, -0.6, 1.7
_FAR_S = 0.2

# Worth watching: one that comes from here can come to be on the torso.
REACH = 2.0
_DEEPEST = 4.0

_APART = 0.8  # the print of the clips moves by at most 0.35 against the face
_REFERENCE_S = 3.0  # time constant of the usual place, which `_APART` is counted from
_CLEARED_S = 10.0

_STEP_S = 0.2  # between two looks at who moved
_MOVED = 0.1  # less is jitter
_TRAVEL = 1.0  # with so much way gone together ...
_SLIP = 0.3  # ... and at most this share of it apart, two are rigid


class Worn:
    """Whether one face is printed on the clothes of another's person: a pair of tracks."""

    __slots__ = (
        "_at_s", "_cleared_until_s", "_far_s", "_from", "_slip", "_travel", "_usual_x", "_usual_y",
        "is_far", "is_on_torso",
    )  # fmt: skip

    def __init__(self, wearer: Motion, face: Motion, now_s: float) -> None:
        self._usual_x, self._usual_y = _offset(wearer, face)
        self._cleared_until_s = -1.0
        self._far_s = 0.0
        self._at_s = now_s
        self._from = (wearer.x, wearer.y, face.x, face.y)
        self._travel = self._slip = 0.0
        self.is_far = False  # for good: it was where no print of this person's could be
        self.is_on_torso = False

    def see(
        self, wearer: Motion, face: Motion, now_s: float, dt_s: float, *, is_wearer_seen: bool
    ) -> None:
        """The face was seen; `dt_s` since the last event.

        Where an unseen wearer would be says where a print would be, and clears nobody.
        """
        across, down = _offset(wearer, face)
        gap = down - 0.5 - face.height / wearer.height / 2
        self.is_on_torso = -_ASIDE <= across <= _ASIDE and _HIGHEST <= gap <= _LOWEST
        if not is_wearer_seen:
            return
        if not (-_FAR_ASIDE <= across <= _FAR_ASIDE and _FAR_HIGHEST <= gap <= _FAR_LOWEST):
            self._far_s += dt_s
            self.is_far = self._far_s >= _FAR_S
        else:
            self._far_s = 0.0
        off_x, off_y = across - self._usual_x, down - self._usual_y
        if off_x * off_x + off_y * off_y > _APART * _APART:
            self._cleared_until_s = now_s + _CLEARED_S
        new = dt_s / (_REFERENCE_S + dt_s)
        self._usual_x += new * off_x
        self._usual_y += new * off_y
        if now_s - self._at_s >= _STEP_S:
            self._step(wearer, face, now_s)

    def is_cleared(self, now_s: float) -> bool:
        """Whether the face has shown that it is not this person's print."""
        return self.is_far or now_s < self._cleared_until_s

    def cues(self, wearer: Dossier, face: Dossier) -> int:
        """How many of the cues above hold; one more where sharpness is not known."""
        count = (
            (face.width > LARGER * wearer.width)
            + (face.squareness > max(SQUARE, SQUARER * wearer.squareness))
            + (face.jumps_per_s > JUMPY_PER_S)
        )
        own, others = face.long_detail, wearer.long_detail
        if own is None or others is None or own > SHARPER * others:
            count += 1
        if self._travel >= _TRAVEL and self._slip <= _SLIP * self._travel:
            count += RIGID_WEIGHT
        return count

    def _step(self, wearer: Motion, face: Motion, now_s: float) -> None:
        wearer_x, wearer_y, face_x, face_y = self._from
        step_x, step_y = wearer.x - wearer_x, wearer.y - wearer_y
        moved = hypot(step_x, step_y) / wearer.height
        apart = hypot(face.x - face_x - step_x, face.y - face_y - step_y) / wearer.height
        if max(moved, apart) > _MOVED:
            if self._travel > 4 * _TRAVEL:  # what they did long ago fades
                self._travel, self._slip = self._travel / 2, self._slip / 2
            self._travel += moved
            self._slip += apart
        self._at_s = now_s
        self._from = (wearer.x, wearer.y, face.x, face.y)


def is_near(wearer: Motion, face: Motion) -> bool:
    """Whether two faces lie so that one could come to be on the other's torso: worth a `Worn`."""
    across, down = _offset(wearer, face)
    return -REACH < across < REACH and 0.0 < down < _DEEPEST


def _offset(wearer: Motion, face: Motion) -> tuple[float, float]:
    """From the wearer's centre to the face's."""
    return (face.x - wearer.x) / wearer.height, (face.y - wearer.y) / wearer.height
