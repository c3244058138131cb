"""The annotated video: the same frames at the same times, with boxes on them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from contract.event import Box, EmotionEvent, FaceEmotion
from deploy.local.annotate import Sighting, Sightings, annotate, draw, even

SIZE = (161, 91)  # odd both ways, as yuv420p is not
TIMES_MS = (0, 40, 70, 300, 310)  # a variable frame rate


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """What a producer records: one JPEG a packet, gray frames."""
    path = tmp_path / "clip-session.mkv"
    with av.open(str(path), "w") as sink:
        stream = sink.add_stream("mjpeg")
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuvj420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for at_ms in TIMES_MS:
            image = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
            frame = VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = at_ms, Fraction(1, 1000)
            sink.mux(stream.encode(frame))
        sink.mux(stream.encode(None))
    return path


def event(seq: int, pts_ns: int | None, *boxes: Box) -> EmotionEvent:
    faces = tuple(FaceEmotion(box, 0.9, "anger", {"anger": 1.0}, 0.0, 0.0) for box in boxes)
    return EmotionEvent("clip", "session", seq, 0, pts_ns, 0, *SIZE, "m@0", faces)


def read(path: Path) -> tuple[list[float], list[NDArray[np.uint8]]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        return [frame.time for frame in frames], [f.to_ndarray(format="bgr24") for f in frames]


def test_every_frame_keeps_its_time_and_gets_its_boxes(recording: Path, tmp_path: Path) -> None:
    sightings = Sightings()
    box = Box(40, 30, 100, 80)
    for seq, at_ms in enumerate(TIMES_MS):
        if seq != 3:  # a frame that no event came for
            boxes = [box] if seq == 1 else []
            sightings.add(event(seq, at_ms * 1_000_000, *boxes))
    output = tmp_path / "out.mp4"
    done: list[int] = []
    count = annotate(
        recording, sightings.of("clip", "session"), output, done.append, keep_start=True
    )
    assert count == len(TIMES_MS)
    assert done == [1, 2, 3, 4, 5]
    times, images = read(output)
    assert times == pytest.approx([at_ms / 1000 for at_ms in TIMES_MS], abs=0.001)
    assert images[0].shape == (92, 162, 3)
    changed = [bool((np.abs(image.astype(int) - 128).max(axis=2) > 40).any()) for image in images]
    assert changed == [False, True, False, False, False]
    edge = images[1][30:80, 39:42].astype(int)
    assert np.abs(edge - 128).max() > 40


def test_times_that_do_not_rise_are_made_to(recording: Path, tmp_path: Path) -> None:
    sightings = Sightings()
    for seq in range(len(TIMES_MS)):
        sightings.add(event(seq, 1_000_000_000 - seq))
    output = tmp_path / "out.mp4"
    seen = sightings.of("clip", "session")
    annotate(recording, seen, output, lambda _: None, keep_start=False)
    times, _ = read(output)
    assert len(times) == len(TIMES_MS)
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    "box", [Box(0, 0, 30, 20), Box(150, 0, 161, 91), Box(0, 80, 161, 91), Box(0, 0, 161, 91)]
)
def test_labels_stay_in_the_picture(box: Box) -> None:
    image = np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)
    drawn = draw(image, (Sighting(box, "embarrassed", 0.5),))
    assert drawn.shape == (SIZE[1], SIZE[0], 3)
    assert (drawn == np.array((24, 24, 24))).all(axis=2).any()  # some ink of the label


@pytest.mark.parametrize("size", [(90, 160), (91, 160), (90, 161), (91, 161)])
def test_sides_become_even(size: tuple[int, int]) -> None:
    assert even(np.zeros((*size, 3), np.uint8)).shape == (
        size[0] + size[0] % 2,
        size[1] + size[1] % 2,
        3,
    )
