"""The clips a benchmark runs on, made long enough to measure."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from tests.benchmarks.usage import REPOSITORY

SHIPPED = REPOSITORY / "deploy" / "demo" / "people.mp4"


def repeated(clip: Path, folder: Path, least_frames: int, *, fps: int | None = None) -> Path:
    """`clip` one after the other until it has `least_frames`, without encoding it again.

    With `fps` it plays at so many frames a second, as a camera of that rate would send it.
    """
    with av.open(str(clip)) as source:
        video = source.streams.video[0]
        packets = sum(1 for packet in source.demux(video) if packet.size)
        speed = Fraction(1) if fps is None else video.average_rate / fps
    rounds = -(-least_frames // packets)
    if rounds == 1 and speed == 1:
        return clip
    pace = "" if fps is None else f"-{fps}fps"
    target = folder / f"{clip.stem}-x{rounds}{pace}.mkv"
    if target.exists():
        return target
    with av.open(str(target), "w") as sink:
        out = None
        offset = 0
        for _ in range(rounds):
            end = offset
            with av.open(str(clip)) as source:
                video = source.streams.video[0]
                out = out or sink.add_stream_from_template(video)
                step = int(1 / (video.average_rate * video.time_base))
                for packet in source.demux(video):
                    if not packet.size:
                        continue
                    # Matroska leaves out the first decoding time; muxing needs one.
                    dts, pts = (packet.dts or 0) + offset, (packet.pts or 0) + offset
                    end = max(end, pts + step)
                    packet.dts, packet.pts = round(dts * speed), round(pts * speed)
                    packet.stream = out
                    sink.mux(packet)
            offset = end
    return target
