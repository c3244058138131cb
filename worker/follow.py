"""The detector on every Nth frame of a source; its faces are followed through those between."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from contract.event import Box
from worker.decode import Picture
from worker.faces import boxes
from worker.faces.detector import Detection
from worker.faces.track import Track

Detect = Callable[[Sequence[Picture]], list[list[Detection]]]
Stream = tuple[str, str]  # source, session

_MOST_AWAY_NS = 1_000_000_000  # a face can be anywhere after a second
_MOST_SOURCES = 1_024  # 2 KB each, and 9 KB a face
_KEPT_S = 10.0
_MOST_TRACKS = 16  # more cost as much as detecting
# Mean difference of the thumbnails' values, 0..255, that is another scene: somebody may be in it
# whom no track knows. 14 clips of real footage have 8 at most from one frame to the next.
_CUT = 12.0
_THUMBNAIL = (32, 24)


class _Mark(NamedTuple):
    """Which frame of its session, and the last one at or before it that was detected."""

    seq: int
    captured_at_ns: int
    shape: tuple[int, ...]
    detected_seq: int


@dataclass(frozen=True, slots=True)
class _Sighting:
    """Who was where in a frame. `thumbnail` is ``(24, 32, 3)`` uint8."""

    mark: _Mark
    thumbnail: npt.NDArray[np.uint8]
    tracks: tuple[Track, ...]


class Follower:
    """Finds faces like `detect`, but calls it for one frame in `every` only.

    detect  the faces in pictures, in pixels of their frames
    every   1: each frame
    clock   seconds that never go back

    Also detected is a frame in which a face cannot be followed for sure, one after a cut, after a
    second without frames, and with too many faces. Somebody new is seen at most `every` - 1 frames
    late. Several threads may call it, also with frames of one source: each starts from the latest
    earlier frame that any of them has finished, or detects.
    """

    def __init__(
        self, detect: Detect, every: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if every < 1:
            raise ValueError(f"expected to detect on every 1st frame or more, got {every}")
        self._detect = detect
        self._every = every
        self._last = _LastSightings(clock)

    def find(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        """The faces of each picture in pixels of its frame, the most confident first."""
        if self._every == 1:
            return self._detect(pictures)
        found: dict[int, list[Detection]] = {}
        waiting: dict[Stream, deque[int]] = {}
        for index in sorted(range(len(pictures)), key=lambda index: pictures[index].frame.seq):
            waiting.setdefault(_stream(pictures[index]), deque()).append(index)
        last = {stream: self._last.get(stream) for stream in waiting}
        due = [
            index
            for stream, indices in waiting.items()
            for index in self._due(last[stream], indices, pictures)
        ]
        while True:
            # Those of all sources together: first what is due, then the first unsure one of each.
            detected = self._detect([pictures[index] for index in due]) if due else []
            found.update(zip(due, detected, strict=True))
            due = []
            for stream, indices in waiting.items():
                while indices:
                    index = indices[0]
                    if index in found:
                        now = _start(pictures[index], found[index])
                    elif followed := _follow(last[stream], pictures[index]):
                        now = followed
                        found[index] = [_detection(track, pictures[index]) for track in now.tracks]
                    else:
                        due.append(index)
                        break
                    last[stream] = now
                    indices.popleft()
            if not due:
                break
        for stream, sighting in last.items():
            if sighting is not None:
                self._last.put(stream, sighting)
        return [found[index] for index in range(len(pictures))]

    def _due(
        self, last: _Sighting | None, indices: Sequence[int], pictures: Sequence[Picture]
    ) -> list[int]:
        """Which frames of one session, in order, must be detected whatever is in them."""
        mark = last.mark if last else None
        due = []
        for index in indices:
            now = _mark(pictures[index])
            if mark is not None and self._is_near(mark, now):
                mark = now._replace(detected_seq=mark.detected_seq)
            else:
                due.append(index)
                mark = now
        return due

    def _is_near(self, before: _Mark, now: _Mark) -> bool:
        return (
            before.seq < now.seq < before.detected_seq + self._every
            and abs(now.captured_at_ns - before.captured_at_ns) <= _MOST_AWAY_NS
            and now.shape == before.shape
        )


class _LastSightings:
    """The latest sighting of each session; sources that went away are forgotten."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._by_stream: OrderedDict[Stream, tuple[float, _Sighting]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_stream)

    def get(self, stream: Stream) -> _Sighting | None:
        with self._lock:
            kept = self._by_stream.get(stream)
        return kept[1] if kept else None

    def put(self, stream: Stream, sighting: _Sighting) -> None:
        """Keep it, unless another thread has come further in that session."""
        now_s = self._clock()
        with self._lock:
            kept = self._by_stream.get(stream)
            if kept is None or kept[1].mark.seq < sighting.mark.seq:
                self._by_stream[stream] = (now_s, sighting)
                self._by_stream.move_to_end(stream)
            while self._by_stream and (
                len(self._by_stream) > _MOST_SOURCES
                or next(iter(self._by_stream.values()))[0] < now_s - _KEPT_S
            ):
                self._by_stream.popitem(last=False)


def _start(picture: Picture, seen: Sequence[Detection]) -> _Sighting:
    scale = picture.scale
    tracks = tuple(
        Track.start(
            picture.pixels,
            (box.left / scale, box.top / scale, box.right / scale, box.bottom / scale),
            confidence,
        )
        for box, confidence in ((face.box, face.confidence) for face in seen[: _MOST_TRACKS + 1])
    )
    return _Sighting(_mark(picture), _thumbnail(picture), tracks)


def _follow(last: _Sighting | None, picture: Picture) -> _Sighting | None:
    """The faces of the earlier frame in this one; None where one look is not enough."""
    if last is None or len(last.tracks) > _MOST_TRACKS:
        return None
    thumbnail = _thumbnail(picture)
    if cv2.norm(thumbnail, last.thumbnail, cv2.NORM_L1) > _CUT * thumbnail.size:
        return None
    tracks = [track.follow(picture.pixels) for track in last.tracks]
    sure = tuple(track for track in tracks if track is not None)
    if len(sure) < len(tracks) or _overlap(sure):
        return None
    mark = _mark(picture)._replace(detected_seq=last.mark.detected_seq)
    return _Sighting(mark, thumbnail, sure)


def _overlap(tracks: Sequence[Track]) -> bool:
    """Whether two of them follow one face: the detector would not give both boxes."""
    if len(tracks) < 2:
        return False
    corners = np.array([track.box for track in tracks])
    return bool((np.triu(boxes.overlaps(corners, corners), 1) > boxes.MAX_OVERLAP).any())


def _stream(picture: Picture) -> Stream:
    return picture.frame.source, picture.frame.session


def _mark(picture: Picture) -> _Mark:
    frame = picture.frame
    return _Mark(frame.seq, frame.captured_at_ns, picture.pixels.shape, frame.seq)


def _thumbnail(picture: Picture) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.resize(picture.pixels, _THUMBNAIL), np.uint8)


def _detection(track: Track, picture: Picture) -> Detection:
    left, top, right, bottom = (round(side * picture.scale) for side in track.box)
    left, top = (
        min(max(left, 0), picture.frame.width - 1),
        min(max(top, 0), picture.frame.height - 1),
    )
    right, bottom = min(right, picture.frame.width), min(bottom, picture.frame.height)
    return Detection(Box(left, top, max(right, left + 1), max(bottom, top + 1)), track.confidence)
