#!/usr/bin/env python3
"""Make `people.mp4`, the clip that `make demo` plays.

Four people come and go as photo cards on a plain background: two still portraits, and two short
pieces of real footage in which the expression changes. Who they are and why their pictures may be
shipped: SOURCES.md.

    pip install av "opencv-python-headless<5" numpy
    python deploy/demo/make_clip.py                   # portraits/ -> people.mp4
    python deploy/demo/make_clip.py --frames /tmp/f   # also one PNG a second, to look at

The pictures in `portraits/` are small cuts. To cut them anew from where they came from:

    pip install scikit-image==0.26.0 matplotlib==3.11.2
    python deploy/demo/make_clip.py --cut --footage DIR   # DIR holds Intel's book.mkv and eat.mkv

Nothing here is random and the encoder runs on one thread, so the same pictures and the same
versions of PyAV and OpenCV give the same bytes. Other versions give a clip that looks the same.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # (height, width, 3) BGR
Floats = NDArray[np.float32]
Affine = NDArray[np.float64]  # 3x3, homogeneous

HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT, FPS, SECONDS = 640, 480, 15, 17.6
CARD_WIDTH, CARD_HEIGHT, CARD_RADIUS, CARD_BORDER = 244.0, 312.0, 20, 6
CARD_MARGIN = 48  # room around a card for its shadow
FACE_IN_CARD = (0.0, -18.0)  # where the face's centre sits, from the card's centre
TOP_COLOUR, BOTTOM_COLOUR = (226, 219, 208), (190, 176, 160)  # BGR


@dataclass(frozen=True)
class Cut:
    """Which part of an original becomes a file in `portraits/`."""

    file: str
    package: str | None  # None: a video in --footage
    original: str
    left: int
    top: int
    width: int
    height: int
    every: int = 1  # keep every n-th frame of a video
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)  # BGR; brightens and removes a colour cast


DAYLIGHT = (1.14, 1.10, 1.22)

CUTS = (
    Cut("collins.jpg", "skimage", "data/astronaut.png", 90, 0, 270, 300),
    Cut("hopper.jpg", "matplotlib", "mpl-data/sample_data/grace_hopper.jpg", 56, 0, 420, 500),
    Cut("woman.mp4", None, "book.mkv", 214, 44, 176, 224, every=2, gain=DAYLIGHT),
    Cut("man.mp4", None, "eat.mkv", 216, 40, 176, 224, gain=DAYLIGHT),
)


@dataclass(frozen=True)
class Pose:
    """Where a card is at a moment: its centre in pixels, its size and its tilt."""

    at_s: float
    x: float
    y: float
    scale: float = 1.0
    tilt_deg: float = 0.0


@dataclass(frozen=True)
class Actor:
    """One person's visit: the picture, the face in it, and the card's path through the frame."""

    file: str
    face: tuple[float, float, float]  # centre x, centre y, height: pixels of the file in portraits/
    face_px: float  # height of the face on a card of scale 1
    path: tuple[Pose, ...]
    plays_at_s: float = 0.0  # footage: when its first frame has passed
    sway_phase: float = 0.0


LEFT, RIGHT, MIDDLE, LEVEL = 168.0, 472.0, 320.0, 240.0

ACTORS = (
    Actor(
        "collins.jpg",
        face=(135, 117, 120),
        face_px=150,
        path=(
            Pose(0.7, -190, LEVEL + 20, 1.0, -7),
            Pose(1.7, MIDDLE, LEVEL, 1.12, 1),
            Pose(3.0, MIDDLE, LEVEL, 1.14, -1),
            Pose(4.0, LEFT, LEVEL, 0.98, -2),
            Pose(5.7, LEFT, LEVEL, 0.98, 1),
            Pose(6.6, -230, LEVEL + 10, 0.95, -6),
        ),
    ),
    Actor(
        "hopper.jpg",
        face=(209, 226, 208),
        face_px=152,
        path=(
            Pose(3.0, 830, LEVEL + 20, 1.0, 6),
            Pose(4.0, RIGHT, LEVEL, 0.98, 1),
            Pose(5.9, RIGHT, LEVEL, 0.98, -1),
            Pose(7.0, MIDDLE, LEVEL, 1.02, 0),
            Pose(7.9, MIDDLE, LEVEL, 1.0, 1),
            Pose(8.7, MIDDLE + 20, 700, 1.0, 5),
        ),
        sway_phase=1.9,
    ),
    Actor(
        "woman.mp4",
        face=(88, 92, 76),
        face_px=140,
        path=(
            Pose(9.5, MIDDLE - 40, 700, 1.0, -5),
            Pose(10.4, MIDDLE, LEVEL, 1.12, 0),
            Pose(11.5, MIDDLE, LEVEL, 1.12, 1),
            Pose(12.5, LEFT, LEVEL, 0.98, -1),
            Pose(14.6, LEFT, LEVEL, 0.98, 1),
            Pose(15.4, -230, LEVEL, 0.95, -5),
        ),
        plays_at_s=10.4,
        sway_phase=0.8,
    ),
    Actor(
        "man.mp4",
        face=(89, 98, 92),
        face_px=146,
        path=(
            Pose(11.5, 830, LEVEL + 10, 1.0, 6),
            Pose(12.5, RIGHT, LEVEL, 0.98, 1),
            Pose(14.8, RIGHT, LEVEL, 0.98, -1),
            Pose(15.6, MIDDLE + 60, LEVEL, 1.1, 0),
            Pose(16.0, MIDDLE + 60, LEVEL, 1.1, 0),
            Pose(16.8, 840, LEVEL, 1.0, 6),
        ),
        plays_at_s=12.9,
        sway_phase=2.7,
    ),
)


# --- motion --------------------------------------------------------------------------------------


def ease(share: float) -> float:
    """Slow start, slow end: 0..1 -> 0..1 with no jump in speed or acceleration."""
    return share**3 * (share * (share * 6 - 15) + 10)


def pose_at(actor: Actor, at_s: float) -> Pose | None:
    """Find the card's pose at a time, or None before it enters and after it has left."""
    path = actor.path
    if not path[0].at_s <= at_s < path[-1].at_s:
        return None
    start, end = next((a, b) for a, b in pairwise(path) if at_s < b.at_s)
    share = ease((at_s - start.at_s) / (end.at_s - start.at_s))

    def between(a: float, b: float) -> float:
        return a + (b - a) * share

    # A slow sway on top, like someone who stands and breathes.
    breath = math.tau * at_s / 3.6 + actor.sway_phase
    return Pose(
        at_s,
        between(start.x, end.x) + 2.5 * math.sin(breath / 2),
        between(start.y, end.y) + 2.0 * math.sin(breath),
        between(start.scale, end.scale) * (1 + 0.008 * math.sin(breath)),
        between(start.tilt_deg, end.tilt_deg) + 0.6 * math.sin(breath / 2 + 1),
    )


def picture_at(actor: Actor, frames: list[Image], at_s: float) -> Image:
    """Pick the frame of the footage that shows at a time; a still has only one."""
    return frames[min(max(round((at_s - actor.plays_at_s) * FPS), 0), len(frames) - 1)]


# --- drawing -------------------------------------------------------------------------------------


def shift(x: float, y: float) -> Affine:
    """Move."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=np.float64)


def turn(scale: float, tilt_deg: float = 0.0) -> Affine:
    """Scale and rotate about the origin."""
    cos, sin = (scale * f(math.radians(tilt_deg)) for f in (math.cos, math.sin))
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]], dtype=np.float64)


def warp(image: NDArray[Any], to_frame: Affine, border: int) -> Floats:
    """Draw an image into an empty frame, as float32."""
    warped = cv2.warpAffine(
        image, to_frame[:2], (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=border
    )
    return warped.astype(np.float32)


def to_bytes(image: Floats) -> Image:
    """Round to 0..255."""
    bytes_: Image = np.clip(image + np.float32(0.5), 0, 255).astype(np.uint8)
    return bytes_


def background() -> Floats:
    """Paint a soft gradient, lighter at the top."""
    down = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None, None]
    top, bottom = (np.array(c, dtype=np.float32) for c in (TOP_COLOUR, BOTTOM_COLOUR))
    gradient = top + (bottom - top) * down
    return np.ascontiguousarray(np.broadcast_to(gradient, (HEIGHT, WIDTH, 3)), dtype=np.float32)


def rounded(inset: int) -> Floats:
    """Draw a card's mask, 0..1, in CARD_MARGIN empty pixels, each edge moved in by `inset`."""
    height, width = (int(n) + 2 * CARD_MARGIN for n in (CARD_HEIGHT, CARD_WIDTH))
    mask = np.zeros((height, width), dtype=np.uint8)
    radius = CARD_RADIUS - inset
    low = CARD_MARGIN + inset + radius
    for x in (low, width - 1 - low):
        for y in (low, height - 1 - low):
            cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_AA)
    cv2.rectangle(mask, (low, low - radius), (width - 1 - low, height - 1 - low + radius), 255, -1)
    cv2.rectangle(mask, (low - radius, low), (width - 1 - low + radius, height - 1 - low), 255, -1)
    return mask.astype(np.float32) / np.float32(255)


class Stage:
    """Draws the frame of any moment. Holds the pictures and the masks, and nothing that changes."""

    def __init__(self, pictures: dict[str, list[Image]]) -> None:
        self._pictures = pictures
        self._background = background()
        self._card = rounded(0)
        self._window = rounded(CARD_BORDER)
        self._shadow = cv2.GaussianBlur(self._card, (0, 0), 11).astype(np.float32) * np.float32(0.3)

    def frame(self, at_s: float) -> Image:
        """Draw the picture of a moment, BGR."""
        canvas = self._background.copy()
        for actor in ACTORS:
            pose = pose_at(actor, at_s)
            if pose is not None:
                self._draw(canvas, actor, pose)
        return to_bytes(canvas)

    def _draw(self, canvas: Floats, actor: Actor, pose: Pose) -> None:
        to_frame = shift(pose.x, pose.y) @ turn(pose.scale, pose.tilt_deg)
        height, width = self._card.shape
        mask_to_frame = to_frame @ shift(-(width - 1) / 2, -(height - 1) / 2)

        picture = picture_at(actor, self._pictures[actor.file], pose.at_s)
        x, y, face_height = actor.face
        picture_to_card = shift(*FACE_IN_CARD) @ turn(actor.face_px / face_height) @ shift(-x, -y)

        empty = cv2.BORDER_CONSTANT
        shadow = warp(self._shadow, shift(0, 8) @ mask_to_frame, empty)[..., None]
        card = warp(self._card, mask_to_frame, empty)[..., None]
        window = warp(self._window, mask_to_frame, empty)[..., None]
        photo = warp(picture, to_frame @ picture_to_card, cv2.BORDER_REPLICATE)

        canvas *= 1 - shadow
        canvas += (np.float32(250) - canvas) * card
        canvas += (photo - canvas) * window


# --- files ---------------------------------------------------------------------------------------


def read(path: Path) -> list[Image]:
    """Read every frame of a picture or a video."""
    with av.open(str(path)) as container:
        return [
            cast(Image, frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)
        ]


def encode(path: Path, frames: Iterable[Image], width: int, height: int, quality: int) -> int:
    """Write H.264 that plays everywhere; returns how many frames it has."""
    count = 0
    # faststart puts the index first; bitexact keeps library versions and dates out of the file.
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        stream.thread_count = 1
        # x264's mbtree gave different bytes for the same small frames from one run to the next.
        stream.options = {"crf": str(quality), "preset": "slow", "x264-params": "mbtree=0"}
        for count, image in enumerate(frames, start=1):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = count - 1, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return count


def original_of(cut: Cut, footage: Path) -> Path:
    """Find the uncut picture: inside an installed package, or in the folder of footage."""
    if cut.package is None:
        return footage / cut.original
    spec = importlib.util.find_spec(cut.package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"make_clip: {cut.file} is cut from the package {cut.package}: install it")
    return Path(spec.origin).parent / cut.original


def graded(image: Image, gain: tuple[float, float, float]) -> Image:
    """Multiply each channel by its gain."""
    return to_bytes(image.astype(np.float32) * np.array(gain, dtype=np.float32))


def cut_portraits(footage: Path, folder: Path) -> None:
    """Write `portraits/` anew from the originals."""
    folder.mkdir(parents=True, exist_ok=True)
    for cut in CUTS:
        original = original_of(cut, footage)
        if not original.is_file():
            raise SystemExit(f"make_clip: expected the original of {cut.file} at {original}")
        rows, columns = slice(cut.top, cut.top + cut.height), slice(cut.left, cut.left + cut.width)
        frames = [graded(f[rows, columns], cut.gain) for f in read(original)[:: cut.every]]
        if cut.file.endswith(".mp4"):
            encode(folder / cut.file, frames, cut.width, cut.height, quality=18)
        else:
            cv2.imwrite(str(folder / cut.file), frames[0], [cv2.IMWRITE_JPEG_QUALITY, 92])


def frames_of(stage: Stage, look: Path | None) -> Iterator[Image]:
    """Draw every frame of the clip; one a second is also written as a PNG."""
    if look is not None:
        look.mkdir(parents=True, exist_ok=True)
    for index in range(round(SECONDS * FPS)):
        image = stage.frame(index / FPS)
        if look is not None and index % FPS == 0:
            cv2.imwrite(str(look / f"{index:04d}.png"), image)
        yield image


def main() -> None:
    """Read the command line and make the clip."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=HERE / "people.mp4", help="the clip to write")
    parser.add_argument(
        "--portraits", type=Path, default=HERE / "portraits", help="the folder of small pictures"
    )
    parser.add_argument(
        "--cut", action="store_true", help="first cut the small pictures anew from the originals"
    )
    parser.add_argument(
        "--footage", type=Path, default=Path(), help="with --cut: folder with book.mkv and eat.mkv"
    )
    parser.add_argument("--frames", type=Path, help="also write one PNG a second to this folder")
    args = parser.parse_args()

    if args.cut:
        cut_portraits(args.footage, args.portraits)
    stage = Stage({actor.file: read(args.portraits / actor.file) for actor in ACTORS})
    count = encode(args.out, frames_of(stage, args.frames), WIDTH, HEIGHT, quality=24)
    print(f"{args.out}: {count} frames, {count / FPS:g} s, {args.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
