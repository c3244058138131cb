"""The clips a benchmark runs on, made long enough to measure."""

from __future__ import annotations

from pathlib import Path

import av


def repeated(clip: Path, folder: Path, least_frames: int) -> Path:
    """`clip` one after the other until it has `least_frames`, without encoding it again."""
    with av.open(str(clip)) as source:
        video = source.streams.video[0]
        packets = sum(1 for packet in source.demux(video) if packet.size)
    rounds = -(-least_frames // packets)
    if rounds == 1:
        return clip
    target = folder / f"{clip.stem}-x{rounds}.mkv"
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
                    packet.dts = (packet.dts or 0) + offset
                    packet.pts = (packet.pts or 0) + offset
                    end = max(end, packet.pts + step)
                    packet.stream = out
                    sink.mux(packet)
            offset = end
    return target
