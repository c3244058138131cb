"""Control frames as MIDI messages; the table is in `consumer.sinks.midi`. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from consumer.sinks.control import ControlFrame
from contract.event import SourceRecord
from contract.smoothed import Person

ROOM = 15  # channels count from 0 on the wire, from 1 in every program
PEOPLE_CHANNELS = 15
VALENCE, AROUSAL = 20, 21
COUNT = 22  # on the room's channel
EMOTIONS = (*range(22, 32), *range(102, 120))  # all that MIDI 1.0 leaves undefined, but those two
FIRST_NOTE = 60

_NOTE_OFF, _NOTE_ON, _CONTROL = 0x80, 0x90, 0xB0

Message = tuple[int, int, int]  # status, two data bytes
_Who = tuple[str, int]  # source, track


class MidiMap:
    """Gives people channels and notes, and says only what changed."""

    def __init__(self) -> None:
        self._labels: list[str] = []
        self._channels: dict[_Who, int] = {}
        self._notes: dict[_Who, int] = {}
        self._sent: dict[tuple[int, int], int] = {}
        self._room_of: str | None = None

    @property
    def labels(self) -> Sequence[str]:
        """In the order of their controllers (`EMOTIONS`) and notes; it only grows."""
        return self._labels

    def messages(self, frame: ControlFrame) -> Iterator[Message]:
        """What a control frame changes."""
        if frame.people is not None:
            present = {person.track for person in frame.people}
            yield from self._leave(frame.source, present)
            for person in frame.people:
                yield from self._person((frame.source, person.track), person)
            yield from self._room(frame, len(frame.people))
        if any(
            isinstance(each, SourceRecord) and each.state != "started" for each in frame.changes
        ):
            yield from self._leave(frame.source, set())
            if self._room_of == frame.source:
                self._room_of = None

    def silence(self) -> Iterator[Message]:
        """End every note."""
        for source in {source for source, _ in self._channels}:
            yield from self._leave(source, set())

    def _leave(self, source: str, present: set[int]) -> Iterator[Message]:
        gone = [who for who in self._channels if who[0] == source and who[1] not in present]
        for who in gone:
            channel = self._channels.pop(who)
            yield _NOTE_OFF | channel, self._notes.pop(who), 0

    def _person(self, who: _Who, person: Person) -> Iterator[Message]:
        channel = self._channels.get(who)
        if channel is None:
            channel = self._channels[who] = self._free(person.voice)
            # A note must not begin in the colours of who had the channel before.
            self._sent = {key: value for key, value in self._sent.items() if key[0] != channel}
        self._labels += [label for label in person.scores if label not in self._labels]
        yield from self._control(channel, VALENCE, _signed(person.valence))
        yield from self._control(channel, AROUSAL, _signed(person.arousal))
        for label, controller in zip(self._labels, EMOTIONS, strict=False):
            yield from self._control(channel, controller, _unsigned(person.scores.get(label, 0.0)))
        if person.label not in self._labels:
            self._labels.append(person.label)
        note = min(127, FIRST_NOTE + self._labels.index(person.label))
        before = self._notes.get(who)
        if note != before:
            if before is not None:
                yield _NOTE_OFF | channel, before, 0
            velocity = max(1, _unsigned(person.scores.get(person.label, 0.0)))
            self._notes[who] = note
            yield _NOTE_ON | channel, note, velocity

    def _room(self, frame: ControlFrame, count: int) -> Iterator[Message]:
        if self._room_of is None:
            self._room_of = frame.source
        if self._room_of != frame.source:
            return
        if frame.room is not None:
            yield from self._control(ROOM, VALENCE, _signed(frame.room.valence))
            yield from self._control(ROOM, AROUSAL, _signed(frame.room.arousal))
        yield from self._control(ROOM, COUNT, min(127, count))

    def _control(self, channel: int, controller: int, value: int) -> Iterator[Message]:
        if self._sent.get((channel, controller)) != value:
            self._sent[channel, controller] = value
            yield _CONTROL | channel, controller, value

    def _free(self, voice: int) -> int:
        taken = set(self._channels.values())
        wanted = (voice - 1) % PEOPLE_CHANNELS
        if wanted not in taken:
            return wanted
        return next((each for each in range(PEOPLE_CHANNELS) if each not in taken), wanted)


def _signed(value: float) -> int:
    """-1..1 as 0..127; 0 is 64, MIDI's middle."""
    return _unsigned((value + 1.0) / 2.0)


def _unsigned(value: float) -> int:
    return min(127, max(0, round(value * 127)))
