"""Control data as a standard MIDI file, to be opened in any sequencer."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

from consumer.files import output_fault, replacing
from consumer.sinks.control import ControlFrame
from consumer.sinks.midi_map import EMOTIONS, FIRST_NOTE, ROOM, MidiMap
from consumer.sinks.playout import Ticks
from consumer.sinks.resampler import INTERPOLATE_S, Resampler
from consumer.sinks.sink import Unhurried
from contract.errors import UsageError
from contract.smoothed import Signal, SmoothedEvent

TICKS_PER_BEAT = 960
BEAT_US = 500_000  # 120 a minute, so a tick is about half a millisecond

_TEMPO, _TEXT, _NAME, _END = 0x51, 0x01, 0x03, 0x2F


def midi_file(target: str) -> Path | None:
    """The file that a ``--midi`` target means; None if it is a port."""
    return Path(target) if target.lower().endswith((".mid", ".midi")) else None


class MidiFileSink(Unhurried):
    """A `Sink` that writes a MIDI file of format 1 when it is closed: a track for each channel.

    Time begins with the first event and is that of the people in the picture: media time where
    there is one, else the time of the capture; so a film read as fast as the machine can gives the
    same file. Memory: about five bytes a message. The file is there whole or not at all, and
    replaces one of the same name.

    rate_hz   frames a second; 0 = one for each event
    Raises `UsageError` naming `flag` when the file cannot be made where it should be.
    """

    def __init__(self, path: Path, rate_hz: float = 10.0, flag: str = "--midi") -> None:
        if fault := output_fault(path):
            raise UsageError(f"{flag} {path}: {fault}")
        self.name = f"midi {path}"
        self._path = path
        self._ticks = Ticks(rate_hz) if rate_hz else None
        self._map = MidiMap()
        self._sources: dict[str, _Source] = {}
        self._conductor = _Track()
        self._conductor.meta(0, _TEMPO, BEAT_US.to_bytes(3))
        self._conductor.meta(0, _NAME, b"emotion-stream")
        self._channels: dict[int, _Track] = {}
        self._named = 0
        self._start_ns: int | None = None
        self._now = 0

    def write(self, signal: Signal, now_s: float) -> None:
        source = self._sources.get(signal.source)
        if not isinstance(signal, SmoothedEvent):
            if source is not None:
                source.resampler.mark(signal)
                if source.resampler.is_ended:
                    self._put(source.resampler.rest())
                    del self._sources[signal.source]
            return
        if source is None:
            source = self._sources[signal.source] = _Source(Resampler(signal.source, media=True))
        if self._start_ns is None:
            self._start_ns = signal.captured_at_ns
        for at_ns in source.see(signal, self._ticks):
            self._put(source.resampler.at(at_ns))

    def close(self) -> None:
        for source in self._sources.values():
            self._put(source.resampler.rest())
        for message in self._map.silence():
            self._channel(message[0] & 0x0F).add(self._now, bytes(message))
        tracks = [self._conductor, *(self._channels[each] for each in sorted(self._channels))]
        with replacing(self._path) as unfinished, unfinished.open("wb") as file:
            file.write(struct.pack(">4sIHHH", b"MThd", 6, 1, len(tracks), TICKS_PER_BEAT))
            for track in tracks:
                track.meta(self._now, _END, b"")
                file.write(struct.pack(">4sI", b"MTrk", len(track.data)) + track.data)
            file.flush()
            os.fsync(file.fileno())

    def _put(self, frame: ControlFrame) -> None:
        assert self._start_ns is not None, "a frame comes from an event"
        beat_ns = BEAT_US * 1000
        now = round((frame.at_ns - self._start_ns) * TICKS_PER_BEAT / beat_ns)
        self._now = max(self._now, now)
        for message in self._map.messages(frame):
            self._channel(message[0] & 0x0F).add(now, bytes(message))
        labels = self._map.labels
        while self._named < len(labels):
            n = self._named
            control = f"CC {EMOTIONS[n]}, " if n < len(EMOTIONS) else ""
            self._conductor.meta(
                now, _TEXT, f"{control}note {FIRST_NOTE + n}: {labels[n]}".encode()
            )
            self._named += 1

    def _channel(self, channel: int) -> _Track:
        track = self._channels.get(channel)
        if track is None:
            track = self._channels[channel] = _Track()
            name = "room" if channel == ROOM else f"voice {channel + 1}"
            track.meta(0, _NAME, name.encode())
        return track


@dataclass(slots=True)
class _Track:
    """The events of one track as they will be in the file; a time that goes back is held."""

    data: bytearray = field(default_factory=bytearray)
    now: int = 0

    def add(self, at: int, message: bytes) -> None:
        self.data += _variable(max(0, at - self.now)) + message
        self.now = max(self.now, at)

    def meta(self, at: int, kind: int, data: bytes) -> None:
        self.add(at, bytes((0xFF, kind)) + _variable(len(data)) + data)


@dataclass(slots=True)
class _Source:
    resampler: Resampler
    next: int | None = None

    def see(self, event: SmoothedEvent, ticks: Ticks | None) -> list[int]:
        """Take an event; the moments that are known with it."""
        resampler = self.resampler
        quiet_ns = None if resampler.is_empty else resampler.rest_ns
        resampler.see(event)
        last_ns = resampler.last_ns
        if ticks is None:
            return [last_ns]
        if self.next is None:
            self.next = ticks.first(last_ns)
        moments = []
        while (at_ns := ticks.at_ns(self.next)) <= last_ns:
            if quiet_ns is not None and quiet_ns + INTERPOLATE_S * 1e9 < at_ns:
                first = ticks.first(last_ns)  # a clock that jumped a year is not filled with ticks
                if first > self.next:
                    self.next = first
                    continue
            moments.append(at_ns)
            self.next += 1
        return moments


def _variable(value: int) -> bytes:
    """A variable-length quantity: seven bits a byte, the highest first."""
    data = [value & 0x7F]
    while value := value >> 7:
        data.append(value & 0x7F | 0x80)
    return bytes(reversed(data))
