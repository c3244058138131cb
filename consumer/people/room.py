"""The mood of the room: one valence and one arousal for all people of a source."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contract.affect import Affect
from contract.smoothed import Person

_LEAST_CERTAINTY = 0.05  # somebody unreadable still counts a little: the room is never undefined
_FORGET_PRESENCE = 0.01


@dataclass(slots=True)
class _Share:
    """What one person adds, as last seen. `presence` goes to 1 while they are there, then to 0."""

    person: Person
    presence: float


class Room:
    """The mean of people's valence and arousal, weighted by the size of the face and the certainty.

    Size is the height of the face: who is twice as near counts twice. Whoever comes in or leaves is
    faded in or out with the time constant, so the music does not jump; with one person the room's
    mood is theirs, without delay.
    """

    def __init__(self, smoothing_s: float) -> None:
        self._smoothing_s = smoothing_s
        self._shares: dict[int, _Share] = {}

    def mood(self, people: Sequence[Person], dt_s: float) -> Affect | None:
        """The mood `dt_s` seconds after the last one; None when nobody is there."""
        if not people:
            self.clear()
            return None
        keep = math.exp(-dt_s / self._smoothing_s) if self._smoothing_s > 0 else 0.0
        shares = self._shares
        for known in shares.values():
            known.presence *= keep
        for person in people:
            share = shares.get(person.track)
            if share is None:
                share = shares[person.track] = _Share(person, 0.0)
            share.presence += 1.0 - keep
            share.person = person
        if len(shares) > len(people):
            self._forget({person.track for person in people})
        if len(shares) == 1:  # most rooms, most of the time
            return Affect(person.valence, person.arousal)
        return self._mean()

    def clear(self) -> None:
        """Everybody left."""
        self._shares.clear()

    def _forget(self, present: set[int]) -> None:
        for track, share in list(self._shares.items()):
            if track not in present and share.presence < _FORGET_PRESENCE:
                del self._shares[track]

    def _mean(self) -> Affect:
        total = valence = arousal = 0.0
        for share in self._shares.values():
            person = share.person
            weight = person.box.height * max(_LEAST_CERTAINTY, certainty(person.scores))
            # The first moment has no duration yet: those who are there first share it equally.
            weight *= max(share.presence, 1e-6)
            total += weight
            valence += weight * person.valence
            arousal += weight * person.arousal
        return Affect(valence / total, arousal / total)


def certainty(scores: Mapping[str, float]) -> float:
    """0 (all emotions alike) .. 1 (one for sure): one minus the normalised Shannon entropy."""
    if len(scores) < 2:
        return 1.0
    entropy = 0.0
    for p in scores.values():
        if p > 0.0:
            entropy -= p * math.log(p)
    return max(0.0, 1.0 - entropy / math.log(len(scores)))
