"""Control frames as notes and controllers."""

from __future__ import annotations

from consumer.sinks.control import ControlFrame
from consumer.sinks.midi_map import MidiMap
from contract.affect import Affect
from contract.smoothed import Person
from tests.signals import at, person, record

_ON, _OFF, _CONTROL = 0x90, 0x80, 0xB0


def _frame(
    *people: Person, seconds: float = 0.0, source: str = "lobby", room: Affect | None = None
) -> ControlFrame:
    return ControlFrame(source, at(seconds), people, room)


def test_somebody_comes_as_a_note_in_their_colours() -> None:
    somebody = person(1, voice=2, scores={"neutral": 0.0, "happiness": 1.0})
    assert list(MidiMap().messages(_frame(somebody, room=Affect(0.0, 1.0)))) == [
        (_CONTROL | 1, 20, 115),  # valence 0.81
        (_CONTROL | 1, 21, 96),  # arousal 0.51
        (_CONTROL | 1, 22, 0),
        (_CONTROL | 1, 23, 127),
        (_ON | 1, 61, 127),
        (_CONTROL | 15, 20, 64),
        (_CONTROL | 15, 21, 127),
        (_CONTROL | 15, 22, 1),
    ]


def test_only_what_changed_is_sent() -> None:
    midi = MidiMap()
    list(midi.messages(_frame(person(1, 0.6))))
    assert list(midi.messages(_frame(person(1, 0.602)))) == []
    assert list(midi.messages(_frame(person(1, 0.62)))) == [
        (_CONTROL, 20, 95),
        (_CONTROL, 21, 84),
        (_CONTROL, 22, 48),
        (_CONTROL, 23, 79),
    ]


def test_another_expression_is_another_note_and_leaving_ends_it() -> None:
    midi = MidiMap()
    list(midi.messages(_frame(person(1, 0.5))))
    changed = list(midi.messages(_frame(person(1, 0.5, label="neutral"))))
    assert changed == [(_OFF, 61, 0), (_ON, 60, 64)]
    assert list(midi.messages(_frame())) == [(_OFF, 60, 0), (_CONTROL | 15, 22, 0)]


def test_who_comes_next_on_a_channel_gets_all_controllers_anew() -> None:
    midi = MidiMap()
    first = list(midi.messages(_frame(person(1))))
    told = list(midi.messages(_frame(person(2, voice=1))))
    assert told == [(_OFF, 61, 0), *first[:-1]]


def test_an_end_releases_the_notes_of_that_source_alone() -> None:
    midi = MidiMap()
    list(midi.messages(_frame(person(1))))
    hall = list(midi.messages(_frame(person(1), source="hall")))
    assert {message[0] & 0x0F for message in hall} == {1}  # channel 1 is taken, the room too
    over = ControlFrame("lobby", at(1), None, None, (record(1, "offline"),))
    assert list(midi.messages(over)) == [(_OFF, 61, 0)]
    assert list(midi.silence()) == [(_OFF | 1, 61, 0)]
    assert list(midi.silence()) == []


def test_the_sixteenth_voice_shares_the_first_channel() -> None:
    midi = MidiMap()
    crowd = [person(track) for track in range(1, 17)]
    told = list(midi.messages(_frame(*crowd)))
    channels = [message[0] & 0x0F for message in told if message[0] & 0xF0 == _ON]
    assert channels == [*range(15), 0]


def test_more_emotions_than_controllers_leave_the_rest_out() -> None:
    scores = {f"e{n}": 1 / 32 for n in range(32)}
    told = list(MidiMap().messages(_frame(person(1, scores=scores, label="e31"))))
    controllers = [message[1] for message in told if message[0] == _CONTROL]
    assert controllers == [20, 21, *range(22, 32), *range(102, 120)]
    assert (_ON, 91, 4) in told


def test_every_byte_is_one_that_midi_has() -> None:
    extreme = Person(
        1, 1, person().box, True, "x", {"x": 1.0}, valence=1.0, arousal=-1.0
    )  # fmt: skip
    told = list(MidiMap().messages(_frame(extreme, room=Affect(-1.0, 1.0))))
    assert all(0 <= value <= 127 for _, *data in told for value in data)
    assert told[:2] == [(_CONTROL, 20, 127), (_CONTROL, 21, 0)]
