"""Faces followed from frame to frame, and made people of. No I/O.

Our own, because the well-kept libraries (roboflow's trackers 2.6, norfair 2.3) bring numpy and
scipy, the first OpenCV too, into a consumer that has none of them, and judge nothing; supervision's
ByteTrack has moved to the first. What they do is here: predict, gate, assign, keep through gaps
(A. Bewley et al., "Simple online and realtime tracking", ICIP 2016).

It fails where motion says too little: two people who stop or turn back while one hides the other
may come out exchanged, and so may two who are lost in the same moment. Someone away for longer than
`forget_s` comes back as somebody new.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

from consumer.people.assign import assign
from consumer.people.elapsed import continued, elapsed_s
from consumer.people.gate import GateOptions
from consumer.people.motion import FARTHEST
from consumer.people.track import Track
from consumer.people.tracked import TrackedEvent, TrackedFace
from consumer.people.wearers import FEW, Wearers, across
from contract.event import EmotionEvent, FaceEmotion, Record, SourceRecord
from contract.smoothed import RejectedFace

_STALL_S = 2.0  # nobody is followed across a longer pause in the events themselves
_CANDIDATE_S = 0.5  # unseen for so long, a face that is no person begins anew
_PRINT_S = 5.0  # a print keeps its track, and so the verdict, through longer gaps


class Tracker:
    """The people of one source. Events come in capture order.

    A person is one through gaps of up to `forget_s` seconds, and leaves sooner when it was last
    seen going out of the frame. Tracks count up from 1 over all sessions; when a session begins,
    the people of the one before have left; who comes in the same event is counted from left to
    right. Somebody who stops being a person for a reason of the
    gate and becomes one again keeps the track. Raises `ValueError` for a negative `forget_s`.
    """

    def __init__(self, gate: GateOptions | None = None, *, forget_s: float = 1.0) -> None:
        if not forget_s >= 0.0:
            raise ValueError(f"forget_s: expected 0 or more, got {forget_s}")
        self._gate = gate or GateOptions()
        self._wearers = Wearers(self._gate.printed_cues) if self._gate.printed_cues else None
        self._forget_s = forget_s
        self._tracks: list[Track] = []
        self._begun = 0  # faces ever followed
        self._people = 0  # and those that became people
        self._now_s = 0.0  # on the clock of the media, from the first event
        self._last: EmotionEvent | None = None

    def see(self, event: EmotionEvent) -> TrackedEvent:
        """The people of the next event, and the faces that are none."""
        dt_s = self._advance(event)
        self._match(event)
        tracks = self._tracks
        if len(tracks) > 1:
            tracks.sort(key=across)  # those who come together are counted from left to right
            if self._wearers is not None:
                self._wearers.look(tracks, self._now_s, dt_s)
        people = []
        rejected = []
        for track in tracks:
            face = track.face
            if face is not None:
                track.judge(self._gate, self._now_s, dt_s)
                if track.reason is not None:
                    track.voice = 0
                    rejected.append(RejectedFace(face.box, track.reason))
                elif not track.voice:
                    self._admit(track)
            if track.voice:
                box = track.motion.box(event.width, event.height) if face is None else face.box
                people.append(TrackedFace(track.number, track.voice, box, face))
        if len(people) > 1:
            people.sort(key=_number)
        return TrackedEvent(event, tuple(people), tuple(rejected))

    def mark(self, record: SourceRecord) -> None:
        """The state of the source changed. When it ends or goes dark everybody leaves, though
        tracks go on counting; when it moves to another partition all stay."""
        if record.is_end:
            self._tracks = []
        self._last = continued(self._last, record)

    def _advance(self, event: EmotionEvent) -> float:
        """Let time pass up to the event; how much."""
        last, self._last = self._last, event
        if last is None:
            return 0.0
        dt_s = elapsed_s(last, event)
        self._now_s += dt_s
        if last.session != event.session or dt_s > max(_STALL_S, self._forget_s):
            self._tracks = []
        for track in self._tracks:
            track.face = None
            track.motion.predict(dt_s)
        return dt_s

    def _match(self, event: EmotionEvent) -> None:
        """Give each face its track, or a new one, and forget who was unseen for too long."""
        tracks, now_s = self._tracks, self._now_s
        fresh = []
        if event.faces:
            found = assign(self._gains(event.faces)) if tracks else [None] * len(event.faces)
            for face, index in zip(event.faces, found, strict=True):
                if index is not None:
                    tracks[index].see(face, now_s)
                else:
                    self._begun += 1
                    fresh.append(Track(self._begun, face, now_s))
        gone = {track.key for track in tracks if track.face is None and self._is_gone(track, event)}
        if gone:
            self._tracks = tracks = [track for track in tracks if track.key not in gone]
            for track in tracks:
                for key in gone & track.worn.keys():
                    del track.worn[key]
        tracks += fresh

    def _gains(self, faces: tuple[FaceEmotion, ...]) -> list[dict[int, float]]:
        """Of each face, the tracks it can be, by index in `_tracks`, and what speaks for each."""
        tracks = self._tracks
        if len(tracks) <= FEW:
            motions = [(index, track.motion) for index, track in enumerate(tracks)]
            return [
                {index: gain for index, motion in motions if (gain := motion.gain(face.box))}
                for face in faces
            ]
        tracks.sort(key=across)
        places = [track.motion.x for track in tracks]
        reach = FARTHEST * max(track.motion.height for track in tracks)
        gains = []
        for face in faces:
            x = (face.box.left + face.box.right) / 2
            near = range(bisect_left(places, x - reach), bisect_right(places, x + reach))
            gains.append(
                {index: gain for index in near if (gain := tracks[index].motion.gain(face.box))}
            )
        return gains

    def _is_gone(self, track: Track, event: EmotionEvent) -> bool:
        if track.motion.is_outside(event.width, event.height):
            return True
        keep_s = self._forget_s
        if self._now_s < track.printed_until_s:
            keep_s = max(keep_s, _PRINT_S)
        elif not track.voice:
            keep_s = min(keep_s, _CANDIDATE_S)
        return self._now_s - track.seen_s > keep_s

    def _admit(self, track: Track) -> None:
        if not track.number:
            self._people += 1
            track.number = self._people
        taken = {other.voice for other in self._tracks}
        track.voice = next(voice for voice in range(1, len(taken) + 2) if voice not in taken)


def tracked(
    records: Iterable[Record], gate: GateOptions | None = None, *, forget_s: float = 1.0
) -> Iterator[TrackedEvent | SourceRecord]:
    """Tracked events of records of any number of sources, each in capture order.

    Source records pass unchanged; nobody stays in a source that has ended or gone offline.
    """
    trackers: dict[str, Tracker] = {}
    for record in records:
        tracker = trackers.get(record.source)
        if isinstance(record, SourceRecord):
            if tracker is not None:
                tracker.mark(record)
            yield record
            continue
        if tracker is None:
            tracker = trackers[record.source] = Tracker(gate, forget_s=forget_s)
        yield tracker.see(record)


def _number(person: TrackedFace) -> int:
    return person.track
