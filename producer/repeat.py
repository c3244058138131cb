"""`--loop`: a file that starts over at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from producer.video import CapturedFrame, Video

_LONE_FRAME_NS = 40_000_000  # how long the only frame of a video is shown


class RepeatedVideo:
    """A file played again and again as one endless take; a `Video`.

    The session stays the same, `seq` goes on and so do the media times, shifted by a round's length
    plus one frame interval: readers see one long video, without a jump that smoothing, pacing or
    sampling would have to know about. The file is opened anew for every round, so it may even be
    replaced while it plays.
    """

    is_endless = False  # it waits for us
    duration_s = None
    frames_expected = None

    def __init__(self, open_round: Callable[[], Video]) -> None:
        self._open_round = open_round
        self._video = open_round()

    @property
    def silence_limit_s(self) -> float:
        return self._video.silence_limit_s

    def frames(self) -> Iterator[CapturedFrame]:
        offset_ns = 0
        while True:
            first_ns = last_ns = None
            step_ns = _LONE_FRAME_NS
            count = 0
            for frame in self._video.frames():
                count += 1
                if frame.pts_ns is None:
                    yield frame
                    continue
                if first_ns is None or last_ns is None:
                    first_ns = frame.pts_ns
                else:
                    step_ns = max(1, frame.pts_ns - last_ns)
                last_ns = frame.pts_ns
                yield replace(frame, pts_ns=frame.pts_ns + offset_ns)
            if count == 0:
                return  # nothing to repeat: going on would spin
            if first_ns is not None and last_ns is not None:
                offset_ns += last_ns - first_ns + step_ns
            self._video.close()
            self._video = self._open_round()

    def close(self) -> None:
        self._video.close()
