"""Which frames to keep and when they are due. Pure: media times and the clock are passed in."""

from __future__ import annotations

import math

MAX_LATE_S = 1.0  # later than this, what was missed is not made up for
MAX_GAP_S = 60.0  # a longer step in media time is a broken time stamp, not a pause

# A frame this part of a grid step early still fills the step: containers round times to their own
# units (Matroska to 1 ms), and without it 133 ms would miss the step at 133.3 ms.
_EARLY = 0.1


class Sampler:
    """Thins frames to `fps` on a regular grid of media time; repeats none.

    The grid starts at the first frame, so the same file always gives the same frames. A slower
    source keeps all its frames. `fps=None` keeps everything.
    """

    def __init__(self, fps: float | None) -> None:
        self._fps = fps
        self._start_ns = 0
        self._last_ns: int | None = None
        self._step = -1

    def keep(self, media_ns: int) -> bool:
        """Whether the frame at this media time is the first one of its grid step."""
        if self._fps is None:
            return True
        if self._last_ns is None or media_ns < self._last_ns:
            # The first frame, or time stamps that start over: so does the grid.
            self._start_ns, self._step = media_ns, -1
        self._last_ns = media_ns
        step = math.floor((media_ns - self._start_ns) * self._fps / 1e9 + _EARLY)
        if step <= self._step:
            return False
        self._step = step
        return True


class Pacer:
    """Plays frames at the speed of their media times, on a monotonic clock in seconds.

    The first frame is due at once and anchors media time to the clock. The anchor moves when a
    frame is more than `MAX_LATE_S` late (the rest follows at normal speed; there is no burst to
    catch up) and when media time goes back or leaps.
    """

    def __init__(self) -> None:
        self._anchor_ns = 0
        self._anchor_s = 0.0
        self._last_ns: int | None = None

    def delay_s(self, pts_ns: int | None, now_s: float) -> float:
        """Seconds until the frame is due; 0 when it is due, late, or has no media time."""
        if pts_ns is None:
            return 0.0
        last_ns, self._last_ns = self._last_ns, pts_ns
        if last_ns is None or not 0 <= pts_ns - last_ns <= MAX_GAP_S * 1e9:
            self._anchor_ns, self._anchor_s = pts_ns, now_s
            return 0.0
        delay_s = self._anchor_s + (pts_ns - self._anchor_ns) / 1e9 - now_s
        if delay_s < -MAX_LATE_S:
            self._anchor_ns, self._anchor_s = pts_ns, now_s
        return max(0.0, delay_s)
