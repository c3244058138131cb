"""The wire of smoothed events: both directions, the golden bytes, hostile bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import wire
from contract.affect import Affect
from contract.errors import DecodeError, EncodeError
from contract.event import Box, EmotionEvent, FaceEmotion, decode_record
from contract.smoothed import (
    Person,
    RejectedFace,
    Signal,
    SmoothedEvent,
    Transition,
    decode_signal,
    signal_from_dict,
)
from tests.unit import strategies as make

GOLDEN = Path(__file__).parent.parent / "golden"
PERSON = Person(
    3, 1, Box(10, 20, 110, 150), True, "happiness", {"neutral": 0.25, "happiness": 0.75}, 0.6, 0.4
)
GOLDEN_SMOOTHED = SmoothedEvent(
    source="lobby",
    session="6f1d",
    seq=41,
    captured_at_ns=1_700_000_000_123_456_789,
    pts_ns=1_366_666_667,
    published_at_ns=1_700_000_000_223_456_789,
    width=640,
    height=480,
    people=(PERSON,),
    room=Affect(0.6, 0.4),
    rejected=(RejectedFace(Box(5, 200, 155, 350), "printed"),),
)
GOLDEN_TRANSITION = Transition(
    "거실", "6f1d", "emotion_changed", 1_700_000_000_123_456_789, 3, 1, "happiness", "neutral"
)
GOLDEN_SHARP = EmotionEvent(
    source="lobby",
    session="6f1d",
    seq=42,
    captured_at_ns=1_700_000_000_123_456_789,
    pts_ns=None,
    published_at_ns=1_700_000_000_223_456_789,
    width=640,
    height=480,
    model="ferplus-resnet50@c06e2a0408dd",
    faces=(
        FaceEmotion(Box(1, 2, 3, 4), 0.99, "neutral", {"neutral": 1.0}, 0.0, 0.0, sharpness=0.125),
    ),
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("smoothed_v1", GOLDEN_SMOOTHED), ("transition_v1", GOLDEN_TRANSITION)],
)
def test_golden_signals(name: str, expected: Signal) -> None:
    data = (GOLDEN / f"{name}.msgpack").read_bytes()
    assert decode_signal({wire.FIELD: data}) == expected
    assert expected.encode() == data


def test_golden_event_with_sharpness() -> None:
    data = (GOLDEN / "event_v1_sharpness.msgpack").read_bytes()
    assert decode_record({wire.FIELD: data}) == GOLDEN_SHARP
    assert GOLDEN_SHARP.encode() == data


@given(make.signals)
def test_what_is_sent_is_what_is_read(signal: Signal) -> None:
    assert decode_signal({wire.FIELD: signal.encode()}) == signal
    assert signal_from_dict(json.loads(json.dumps(signal.to_dict()))) == signal


@given(make.signals, st.data())
def test_any_value_anywhere_is_read_or_refused_by_name(signal: Signal, data: st.DataObject) -> None:
    message = signal.to_dict()
    key = data.draw(st.sampled_from(sorted(message)))
    message[key] = data.draw(make.any_values)
    try:
        decode_signal({wire.FIELD: msgpack.packb(message)})
    except DecodeError as error:
        assert error.reason in ("malformed", "version")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"people": (replace(PERSON, track=0),)}, "track: expected an integer from 1"),
        ({"people": (replace(PERSON, seen=1),)}, "seen: expected true or false"),
        ({"people": (PERSON,) * 201}, "people: expected a list of at most 200 maps"),
        ({"room": Affect(2.0, 0.0)}, "valence: expected a number from -1 to 1"),
        ({"rejected": (RejectedFace(Box(0, 0, 1, 1), "ugly"),)}, "reason: expected one of small"),  # type: ignore[arg-type]
        ({"source": "a b"}, "source: expected 1-128 printable"),
    ],
)
def test_a_smoothed_event_is_not_sent_with(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(EncodeError, match=text):
        replace(GOLDEN_SMOOTHED, **changes).encode()


def test_a_transition_is_not_sent_with_another_change() -> None:
    with pytest.raises(EncodeError, match="change: expected one of person_entered, person_left"):
        replace(GOLDEN_TRANSITION, change="person_slept").encode()  # type: ignore[arg-type]


def test_the_fullest_smoothed_event_fits() -> None:
    labels = [f"{index:02d}" + "\U0001f600" * (wire.MAX_LABEL_CHARS - 2) for index in range(32)]
    longest, most = "\U0001f600" * wire.MAX_NAME_CHARS, wire.INT64_MAX
    side = wire.MAX_IMAGE_SIDE_PX
    box = Box(side - 2, side - 2, side, side)
    scores = dict.fromkeys(labels, 1 / 32)
    person = Person(most, most, box, False, labels[0], scores, 1 / 3, 1 / 3)
    event = SmoothedEvent(
        longest, longest, most, most, most, most, side, side,
        (person,) * wire.MAX_FACES, Affect(1 / 3, 1 / 3),
    )  # fmt: skip
    assert decode_signal({wire.FIELD: event.encode()}) == event
