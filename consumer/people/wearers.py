"""Looks for faces that are printed on somebody's clothes. No I/O."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from consumer.people.printed import REACH, Worn, is_near
from consumer.people.track import Track

FEW = 16  # of more faces, only those near each other are compared


class Wearers:
    """Holds each face of an event against the people above it and sets `Track.suspect`."""

    def __init__(self, cues: int) -> None:
        self._cues = cues

    def look(self, tracks: list[Track], now_s: float, dt_s: float) -> None:
        """Tracks from left to right; `dt_s` since the last event."""
        if len(tracks) <= FEW:
            for track in tracks:
                if track.face is not None:
                    self._compare(track, tracks, now_s, dt_s)
            return
        places = [track.motion.x for track in tracks]
        reach = REACH * max(track.motion.height for track in tracks)
        for track in tracks:
            if track.face is not None:
                x = track.motion.x
                near = tracks[bisect_left(places, x - reach) : bisect_right(places, x + reach)]
                self._compare(track, near, now_s, dt_s)

    def _compare(self, track: Track, others: list[Track], now_s: float, dt_s: float) -> None:
        track.suspect = "no"
        for wearer in others:
            if not is_near(wearer.motion, track.motion):
                continue
            worn = track.worn.get(wearer.key)
            if worn is None:
                worn = track.worn[wearer.key] = Worn(wearer.motion, track.motion, now_s)
            if worn.is_far or now_s < wearer.printed_until_s:
                continue
            worn.see(
                wearer.motion, track.motion, now_s, dt_s, is_wearer_seen=wearer.face is not None
            )
            if worn.is_cleared(now_s):
                if track.wearer == wearer.key:
                    track.clear(now_s)
                continue
            if not worn.is_on_torso:
                continue
            if worn.cues(wearer.dossier, track.dossier) < self._cues:
                if track.wearer == wearer.key and wearer.face is not None:
                    track.doubt(now_s)
            elif wearer.reason in (None, "small", "blurred", "unsure"):
                track.wearer = wearer.key
                track.suspect = "yes"
            elif wearer.reason == "brief" and track.suspect == "no":
                track.suspect = "wait"


def across(track: Track) -> float:
    return track.motion.x
