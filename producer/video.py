"""What every kind of video looks like to the rest of the producer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from contract.errors import EmotionStreamError

Image = NDArray[np.uint8]


LossReason = Literal["closed", "stalled"]


class SourceLost(EmotionStreamError):
    """A camera or a stream does not answer, or stopped; trying again may help.

    `reason` is for counters: "closed" when the other side ended it or refused, "stalled" when
    nothing came for longer than allowed.
    """

    def __init__(self, reason: LossReason, message: str) -> None:
        super().__init__(message)
        self.reason: LossReason = reason


@dataclass(frozen=True, slots=True, eq=False)
class CapturedFrame:
    """One frame as it came out of a video.

    captured_at_ns   wall clock when it arrived, nanoseconds since the epoch
    pts_ns           media time in nanoseconds, None if the source has none
    image            gives the (H, W, 3) uint8 BGR picture, the right way up; a call, because frames
                     that sampling skips need no conversion. Its argument is the greatest width that
                     is of use: a decoder shrinks while it converts, at a fifth of the cost of
                     shrinking later, but may also give more. Raises `EncodeError` if there is none
    """

    captured_at_ns: int
    pts_ns: int | None
    image: Callable[[int], Image]


def shrunk(width: int, height: int, max_width: int) -> tuple[int, int]:
    """The size of a picture in proportion, at most `max_width` wide; never larger than it was."""
    if width <= max_width:
        return width, height
    return max_width, max(1, round(height * max_width / width))


class Video(Protocol):
    """An open video. Not thread-safe: one thread opens, reads and closes it."""

    @property
    def is_endless(self) -> bool:
        """Whether this is live: it cannot wait for us and has no end of its own."""

    @property
    def duration_s(self) -> float | None:
        """Length in media seconds, None if unknown."""

    @property
    def frames_expected(self) -> int | None:
        """How many frames there are by the container's own account; an estimate, for progress."""

    @property
    def silence_limit_s(self) -> float:
        """So many seconds without a frame, and the source counts as lost."""

    def frames(self) -> Iterator[CapturedFrame]:
        """The frames to the end. Raises `SourceLost` or `SourceError`."""

    def close(self) -> None: ...


class MediaTimes:
    """Time stamps of one video's frames, from container units to nanoseconds.

    Some containers (AVI with B-frames) hold no presentation times, and what FFmpeg makes up runs
    back and forth. The decoding times of frames that come out in order do rise, so the kind that
    ran backwards less often so far is used (FFmpeg's own rule, `guess_correct_pts`).

    time_base      seconds per unit; None = what FFmpeg states are no times
    nominal_rate   frames per second to count by when a file has no time stamps at all (raw H.264);
                   None = such frames have no media time
    counts_from_zero   times count from the first packet, as with RTSP, so that a first frame
                       without one (FFmpeg's parser loses it) is at 0
    """

    def __init__(
        self,
        time_base: Fraction | None,
        nominal_rate: Fraction | None,
        *,
        counts_from_zero: bool = False,
    ) -> None:
        self._time_base = time_base
        self._nominal_rate = nominal_rate
        self._counts_from_zero = counts_from_zero
        self._frames = 0
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._faulty_pts = 0
        self._faulty_dts = 0
        self._dts_step = 1

    def next_ns(self, pts: int | None, dts: int | None) -> int | None:
        """Media time of the next frame, rounded to the nearest nanosecond."""
        number, self._frames = self._frames, self._frames + 1
        if dts is None and self._faulty_pts > self._faulty_dts and self._last_dts is not None:
            dts = self._last_dts + self._dts_step  # the last frames come out without one
        if dts is not None:
            if self._last_dts is not None:
                self._faulty_dts += dts <= self._last_dts
                self._dts_step = max(1, dts - self._last_dts)
            self._last_dts = dts
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        is_doubtful = dts is not None and self._faulty_pts > self._faulty_dts
        units = dts if pts is None or is_doubtful else pts
        if units is not None and self._time_base is not None:
            return round(units * self._time_base * 1_000_000_000)
        if self._nominal_rate:
            return round(number / self._nominal_rate * 1_000_000_000)
        return 0 if self._counts_from_zero and number == 0 else None
