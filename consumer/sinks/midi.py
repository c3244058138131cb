"""Control data as MIDI, for hardware, Ableton Live, Logic and every other sequencer.

===================  ============  ================================================================
message              channel       what
===================  ============  ================================================================
control change 20    voice         valence: -1..1 as 0..127, 64 is neutral
control change 21    voice         arousal, likewise
control change 22 …  voice         probability of each emotion, in the model's order: 22 to 31, then
                                   102 to 119; of more than 28 emotions the rest is left out
note on 60 …         voice         somebody came: the note is the emotion, 60 (middle C) the first
                                   one, 61 the second ...; the velocity is its probability
note off             voice         they left; with another note on: their expression changed
control change 20    16            valence of the room
control change 21    16            arousal of the room
control change 22    16            how many people there are
===================  ============  ================================================================

So a person is a held note: a synthesiser sounds as long as they are there, a drum rack or clip slot
is triggered by the emotion, and the controllers colour it. The shipped model's emotions are 22/60
neutral, happiness, surprise, sadness, anger, disgust, fear, 29/67 contempt.

Voices are channels 1 to 15. Where one is taken, by a person of another source, the lowest free one
is used; where all are, voice 16 shares channel 1, and so on. The room is that of the source which
came first. A value is sent when it changes, and all of a person's when they come.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import mido

from consumer.sinks.control import ControlFrame
from consumer.sinks.midi_file import MidiFileSink, midi_file
from consumer.sinks.midi_map import MidiMap
from consumer.sinks.playout import Playout
from consumer.sinks.priority import go_first
from consumer.sinks.sink import Sink
from contract.errors import UsageError
from contract.smoothed import Signal

# JACK takes what was sent once a period, a busy machine later: where the port is gone by then, the
# last notes sound for ever.
_DELIVERED_S = 0.1

VIRTUAL = "virtual:"
CLIENT = "emotion-stream"


def midi_sink(
    target: str, playout: Playout, rate_hz: float, *, first: bool = False, flag: str = "--midi"
) -> Sink[Signal]:
    """A file if `target` ends in ``.mid``, else a port (see `open_port`).

    A file needs no clock: it holds `rate_hz` frames a second of capture or media time (0 = one for
    each event), however fast they came. Raises `UsageError` naming `flag`.
    """
    if (path := midi_file(target)) is not None:
        return MidiFileSink(path, rate_hz, flag)
    return MidiPortSink(open_port(target, flag), playout, first=first)


def open_port(target: str, flag: str = "--midi", backend: mido.Backend | None = None) -> Any:
    """A mido output port: the one named so or, if there is just one, the one whose name contains
    `target`, whatever its case; ``virtual:NAME`` makes one for others to connect to.

    mido's own variable MIDO_BACKEND chooses another MIDI system, for example
    ``mido.backends.rtmidi/UNIX_JACK``. Raises `UsageError` naming `flag`, with the ports there are.
    """
    backend = backend or mido.backend
    try:
        if target.startswith(VIRTUAL):
            name = target.removeprefix(VIRTUAL)
            if not name:
                raise UsageError(f"{flag} {target}: expected a name after {VIRTUAL}")
            return backend.open_output(name, virtual=True, client_name=CLIENT)
        return backend.open_output(_choose(target, backend.get_output_names(), flag))
    except ImportError as error:
        raise UsageError(
            f"{flag} {target}: {error}; a port needs: pip install 'emotion-stream[midi]'"
        ) from error
    except OSError as error:  # RtMidi's errors are of that kind
        raise UsageError(f"{flag} {target}: this machine's MIDI does not open: {error}") from error


def _choose(target: str, names: Sequence[str], flag: str) -> str:
    if target in names:
        return target
    fitting = [name for name in names if target.casefold() in name.casefold()]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(f"{flag} {target}: expected one port, got {', '.join(fitting)}")
    there = f"there are {', '.join(names)}" if names else f"there is none; try {VIRTUAL}{target}"
    raise UsageError(f"{flag} {target}: no such MIDI port; {there}, or a file.mid")


class MidiPortSink:
    """A `Sink` that sends what `playout` plays to a mido output port, and closes it at the end.

    `first` as in `OscSink`.
    """

    def __init__(self, port: Any, playout: Playout, *, first: bool = False) -> None:
        self.name = f"midi {port.name}"
        self.playout = playout
        self._port = port
        self._map = MidiMap()
        self._wants_first = first

    def write(self, signal: Signal, now_s: float) -> None:
        if self._wants_first:
            self._wants_first = False
            go_first()
        self._send(self.playout.add(signal, now_s))

    def due_s(self) -> float | None:
        return self.playout.due_s()

    def tick(self, now_s: float) -> None:
        self._send(self.playout.tick(now_s))

    def close(self) -> None:
        try:
            self._send(self.playout.finish())
            for message in self._map.silence():
                self._port.send(mido.Message.from_bytes(message))
            time.sleep(_DELIVERED_S)
        finally:
            self._port.close()

    def _send(self, frames: Sequence[ControlFrame]) -> None:
        for frame in frames:
            for message in self._map.messages(frame):
                self._port.send(mido.Message.from_bytes(message))
