"""``--annotate``: the recorded frames again, with what was seen drawn in, at their own times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from contract.event import Box, EmotionEvent
from contract.palette import colour_of

SUFFIXES = (".mp4", ".mkv", ".mov")
TIME_BASE = Fraction(1, 90_000)  # every common frame rate is a whole number of these
_FONT = cv2.FONT_HERSHEY_DUPLEX
_INK = (24, 24, 24)  # BGR


@dataclass(frozen=True, slots=True)
class Sighting:
    """One face in one frame: what is drawn."""

    box: Box
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame's media time and its faces."""

    pts_ns: int | None
    sightings: tuple[Sighting, ...]


class Sightings:
    """What was seen, by session and frame; small enough to keep hours of it in memory."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], dict[int, Seen]] = {}

    def add(self, event: EmotionEvent) -> None:
        """Remember an event's faces."""
        frames = self._sessions.setdefault((event.source, event.session), {})
        frames[event.seq] = Seen(
            event.pts_ns,
            tuple(Sighting(f.box, f.label, f.scores.get(f.label, 0.0)) for f in event.faces),
        )

    def of(self, source: str, session: str) -> Mapping[int, Seen]:
        """Frame number -> what was seen."""
        return self._sessions.get((source, session), {})

    def sessions(self) -> list[tuple[str, str]]:
        """(source, session) of everything seen, in order of appearance."""
        return list(self._sessions)


def annotate(
    recording: Path,
    seen: Mapping[int, Seen],
    output: Path,
    advance: Callable[[int], None],
    *,
    keep_start: bool,
) -> int:
    """Write `recording` to `output` with boxes and labels; returns the number of frames.

    Frame n of the recording is frame n of the session. H.264 in yuv420p, which every player plays;
    frames keep their media times, so a variable frame rate stays one. A file's times stay as they
    are (`keep_start`); a camera's may begin anywhere, its video begins at zero. `advance` is called
    with the frames done so far.
    """
    times = media_times(recorded_times(recording), seen, keep_start=keep_start)
    count = 0
    with av.open(str(recording)) as source, av.open(str(output), "w") as sink:
        stream: VideoStream | None = None
        for frame in source.decode(video=0):
            here = seen.get(count)
            plain: Any = frame.to_ndarray(format="bgr24")
            image = draw(even(plain), here.sightings if here else ())
            if stream is None:
                stream = sink.add_stream("libx264", options={"preset": "veryfast", "crf": "20"})
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.codec_context.time_base = TIME_BASE
            picture = VideoFrame.from_ndarray(image, format="bgr24")
            picture.pts, picture.time_base = times[count], TIME_BASE
            sink.mux(stream.encode(picture))
            count += 1
            advance(count)
        if stream is not None:
            sink.mux(stream.encode(None))
    return count


def recorded_times(recording: Path) -> list[Fraction]:
    """Seconds from the first frame, one per frame, as precise as the container is."""
    with av.open(str(recording)) as source:
        return [
            packet.pts * packet.time_base
            for packet in source.demux(video=0)
            if packet.pts is not None and packet.time_base is not None
        ]


def media_times(
    recorded: Sequence[Fraction], seen: Mapping[int, Seen], *, keep_start: bool
) -> list[int]:
    """Times for the frames in `TIME_BASE`: the events' exact ones, and the recording's where no
    event came, moved to fit. They rise, as players and muxers want; a camera's sometimes don't."""
    exact = {n: Fraction(s.pts_ns, 10**9) for n, s in seen.items() if s.pts_ns is not None}
    first = min((n for n in exact if n < len(recorded)), default=None)
    shift = Fraction(0) if first is None else exact[first] - recorded[first]
    times: list[int] = []
    for number, at in enumerate(recorded):
        at_s = exact.get(number, at + shift) - (0 if keep_start else shift)
        ticks = max(0, round(at_s / TIME_BASE))
        times.append(max(ticks, times[-1] + 1) if times else ticks)
    return times


def draw(image: NDArray[np.uint8], sightings: tuple[Sighting, ...]) -> NDArray[np.uint8]:
    """`image` ((H, W, 3) uint8 BGR, changed in place) with a box and a label for every face."""
    height, width = image.shape[:2]
    line = max(1, round(min(height, width) / 240))
    scale = max(0.4, min(height, width) / 900)
    for sighting in sightings:
        box = sighting.box
        colour = colour_of(sighting.label)[::-1]
        cv2.rectangle(image, (box.left, box.top), (box.right - 1, box.bottom - 1), colour, line)
        text = f"{sighting.label} {sighting.probability:.0%}".encode("ascii", "replace").decode()
        (wide, high), below = cv2.getTextSize(text, _FONT, scale, 1)
        left = max(0, min(box.left, width - wide - 2 * line - 4))
        # Above the box; inside it where the frame ends.
        bottom = box.top if box.top >= high + below + 4 else box.top + high + below + 4
        top = bottom - high - below - 4
        cv2.rectangle(image, (left, top), (left + wide + 6, bottom), colour, cv2.FILLED)
        cv2.putText(image, text, (left + 3, bottom - below), _FONT, scale, _INK, 1, cv2.LINE_AA)
    return image


def even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image with even sides, as yuv420p needs: a last row or column is repeated."""
    height, width = image.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return image
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
