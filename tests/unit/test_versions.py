"""Messages of releases before and after this one, with the same version of the wire and another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from consumer.session import layout
from contract import wire
from contract.errors import DecodeError
from contract.event import EmotionEvent, SourceRecord, decode_record, record_from_dict
from contract.frame import FrameMessage
from contract.smoothed import SmoothedEvent, Transition, decode_signal
from worker.dead.letters import without_age_limit

GOLDEN = Path(__file__).parent.parent / "golden"

Message = FrameMessage | EmotionEvent | SourceRecord | SmoothedEvent | Transition
Decode = Callable[[wire.Entry], Message]

DECODERS: dict[str, Decode] = {
    "frame_v1": FrameMessage.decode,
    "event_v1": decode_record,
    "event_v1_sharpness": decode_record,
    "source_v1": decode_record,
    "source_v1_moved": decode_record,
    "smoothed_v1": decode_signal,
    "transition_v1": decode_signal,
}
# What a message may lack. No later release of the same version may ask for more.
OPTIONAL = {
    "frame_v1": {"pts_ns", "max_age_ns", "trace"},
    "event_v1": {"id", "pts_ns"},
    "event_v1_sharpness": {"id", "pts_ns", "faces/sharpness"},
    "source_v1": {"frames"},
    "source_v1_moved": {"frames", "moved"},
    "smoothed_v1": {"id", "pts_ns", "room"},
    "transition_v1": {"before"},
}
every_message = pytest.mark.parametrize("name", sorted(DECODERS))


def golden(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = msgpack.unpackb((GOLDEN / f"{name}.msgpack").read_bytes())
    return fields


def decode(name: str, fields: dict[str, Any]) -> Message:
    return DECODERS[name]({wire.FIELD: msgpack.packb(fields)})


def maps_in(value: Any, place: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every map of a message that is no table of scores, with where it is."""
    if isinstance(value, list):
        return [found for item in value for found in maps_in(item, place)]
    if not isinstance(value, dict) or place == "faces/scores" or place == "people/scores":
        return []
    within = [
        found
        for key, item in value.items()
        for found in maps_in(item, f"{place}/{key}".removeprefix("/"))
    ]
    return [(place, value), *within]


def test_all_golden_messages_are_here() -> None:
    assert {path.stem for path in GOLDEN.glob("*.msgpack")} == set(DECODERS)


@every_message
def test_what_a_later_release_adds_is_ignored(name: str) -> None:
    fields = golden(name)
    expected = decode(name, fields)
    for _, found in maps_in(fields):
        found |= {"later": {"more": [1, "two", None]}, "flag": True}
    assert decode(name, fields) == expected


@every_message
def test_what_an_earlier_release_did_not_say_reads_as_nothing(name: str) -> None:
    fields = golden(name)
    for place, found in maps_in(fields):
        for key, value in list(found.items()):
            del found[key]
            if f"{place}/{key}".removeprefix("/") in OPTIONAL[name]:
                nothing = decode(name, fields)
                found[key] = None
                assert decode(name, fields) == nothing
            else:
                with pytest.raises(DecodeError):
                    decode(name, fields)
            found[key] = value


def become_next(monkeypatch: pytest.MonkeyPatch, *, sends: int) -> None:
    """This code as that of a release whose wire calls a source `camera` until version 2."""

    def renamed(old: str, new: str) -> Callable[[wire.Message], wire.Message]:
        return lambda message: {new if key == old else key: message[key] for key in message}

    monkeypatch.setattr(wire, "VERSION", 2)
    monkeypatch.setattr(wire, "READABLE_VERSIONS", frozenset({1, 2}))
    monkeypatch.setattr(wire, "SENT_VERSION", sends)
    monkeypatch.setattr(
        wire, "STEP", wire.Step(renamed("camera", "source"), renamed("source", "camera"))
    )


@every_message
@pytest.mark.parametrize(("sends", "key"), [(1, "camera"), (2, "source")])
def test_both_versions_are_read_and_one_is_sent(
    name: str, sends: int, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = decode(name, golden(name))
    become_next(monkeypatch, sends=sends)
    sent = msgpack.unpackb(message.encode())
    assert (sent["v"], sent[key]) == (sends, message.source)
    assert sent.keys() & {"camera", "source"} == {key}
    assert decode(name, sent) == message
    with pytest.raises(DecodeError, match="expected wire version 1, 2, got 3"):
        decode(name, {**sent, "v": 3})


def test_a_session_of_the_version_before_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    event = decode("event_v1", golden("event_v1"))
    assert isinstance(event, EmotionEvent)
    line = layout.record_line(5, event).replace(b'"source"', b'"camera"')
    become_next(monkeypatch, sends=1)
    for each in (line, layout.record_line(5, event)):
        assert record_from_dict(layout.message(layout.parse_line(each))) == event
    assert json.loads(layout.record_line(5, event))["record"]["v"] == 2  # files are of this release


@pytest.mark.parametrize("sends", [1, 2])
@pytest.mark.parametrize("version", [1, 2])
def test_a_dead_letter_is_put_back_in_the_version_it_came_in(
    version: int, sends: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = {**golden("frame_v1"), "v": version, "later": 1}
    if version == 1:
        letter["camera"] = letter.pop("source")
    become_next(monkeypatch, sends=sends)
    put_back = msgpack.unpackb(without_age_limit(msgpack.packb(letter)))
    assert put_back == {**letter, "max_age_ns": None}
