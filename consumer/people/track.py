"""One face followed from frame to frame: a person, or why it is none. No I/O."""

from __future__ import annotations

from typing import Literal

from consumer.people.gate import Dossier, GateOptions
from consumer.people.motion import Motion
from consumer.people.printed import Worn
from contract.event import FaceEmotion
from contract.smoothed import Rejection

_SUSPECT_S = 0.5  # a face must look like a print for so long to be found one
_VERDICT_S = 10.0  # which holds for so long without the wearer,
_DOUBT_S = 2.0  # and for so long if, beside the wearer, it looks like one no more


class Track:
    """A face, and all that is known of it. Times are seconds on the clock of the media.

    key      tells tracks apart, people or not
    number   `Person.track`; 0 if it never was a person
    voice    `Person.voice`; 0 while it is none
    face     as seen in this event, or None
    reason   why it is no person; None if it is one
    worn     key of a track above it -> whether this face is printed on that person's clothes
    suspect  whether it looks like a print now; "wait" while it is open whether the wearer is
             somebody
    """

    __slots__ = (
        "_seen", "_since_s", "_suspect_s", "dossier", "face", "key", "motion", "number",
        "printed_until_s", "reason", "seen_s", "suspect", "voice", "wearer", "worn",
    )  # fmt: skip

    def __init__(self, key: int, face: FaceEmotion, now_s: float) -> None:
        self.key = key
        self.number = self.voice = 0
        self.face: FaceEmotion | None = face
        self.reason: Rejection | None = "brief"
        self.motion = Motion(face.box)
        self.dossier = Dossier(face, now_s)
        self.seen_s = self._since_s = now_s
        self._seen = 1
        self.worn: dict[int, Worn] = {}
        self.wearer = 0
        self.suspect: Literal["no", "wait", "yes"] = "no"
        self.printed_until_s = now_s
        self._suspect_s = 0.0

    def see(self, face: FaceEmotion, now_s: float) -> None:
        """Take the face as it looks now."""
        dt_s = now_s - self.seen_s
        self.face = face
        self.seen_s = now_s
        self._seen += 1
        self.motion.update(face.box, dt_s)
        self.dossier.add(face, now_s, dt_s)

    def doubt(self, now_s: float) -> None:
        """Its wearer was seen, and it does not look like a print."""
        self.printed_until_s = min(self.printed_until_s, now_s + _DOUBT_S)

    def clear(self, now_s: float) -> None:
        """It cannot be a print of its wearer."""
        self.printed_until_s = now_s

    def judge(self, gate: GateOptions, now_s: float, dt_s: float) -> None:
        """Set `reason` anew; `dt_s` since the last event."""
        if self.suspect == "no":
            self._suspect_s = 0.0
        else:
            self._suspect_s += dt_s
            if self.suspect == "yes" and self._suspect_s >= _SUSPECT_S:
                self.printed_until_s = now_s + _VERDICT_S
        if now_s < self.printed_until_s or (self.suspect == "yes" and not self.voice):
            self.reason = "printed"
            return
        self.reason = self.dossier.fault(gate, is_person=self.voice > 0)
        if self.reason is None and not self.voice and gate.brief_s:
            age_s = now_s - self._since_s
            if self._seen < 2 or age_s < gate.brief_s or self.suspect == "wait":
                self.reason = "brief"
