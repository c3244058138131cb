"""Messages survive the wire; anything else is a DecodeError, at no cost in memory."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract import wire
from contract.errors import DecodeError, EncodeError
from contract.event import (
    Box,
    EmotionEvent,
    FaceEmotion,
    Record,
    SourceRecord,
    decode_record,
    record_from_dict,
)
from contract.frame import FrameMessage
from tests.unit import strategies as make

GOLDEN = Path(__file__).parent.parent / "golden"
FRAME = FrameMessage(
    "cam", "s1", 7, 1_700_000_000_000_000_000, 40_000_000, 32, 24, make.jpeg(32, 24)
)


def entry(fields: dict[str, Any]) -> dict[bytes, bytes]:
    return {wire.FIELD: msgpack.packb(fields)}


def frame_fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = msgpack.unpackb(FRAME.encode())
    return fields | changes


@given(make.frames())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_frames_come_back_as_they_were(frame: FrameMessage) -> None:
    assert FrameMessage.decode({wire.FIELD: frame.encode()}) == frame


@given(make.events | make.source_records)
def test_records_come_back_from_msgpack_and_from_json(record: Record) -> None:
    assert decode_record({wire.FIELD: record.encode()}) == record
    assert record_from_dict(json.loads(json.dumps(record.to_dict()))) == record


@given(st.binary(max_size=2000))
def test_random_bytes_are_refused(data: bytes) -> None:
    for decode in (FrameMessage.decode, decode_record):
        with pytest.raises(DecodeError):
            decode({wire.FIELD: data})


@given(st.data())
def test_every_cut_and_every_flipped_byte_is_a_frame_or_refused(data: st.DataObject) -> None:
    encoded = bytearray(FRAME.encode())
    cut = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(DecodeError):
        FrameMessage.decode({wire.FIELD: bytes(encoded[:cut])})
    encoded[cut] ^= data.draw(st.integers(1, 255))
    try:
        frame = FrameMessage.decode({wire.FIELD: bytes(encoded)})
    except DecodeError:
        return
    assert isinstance(frame, FrameMessage)  # the flip hit the pixels or a free value


any_value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)  # fmt: skip


@given(st.sampled_from(sorted(frame_fields())), any_value)
def test_a_wrong_value_in_any_frame_field_never_escapes(key: str, value: Any) -> None:
    try:
        FrameMessage.decode(entry(frame_fields(**{key: value})))
    except DecodeError as error:
        assert error.reason in {"malformed", "oversized", "version", "image"}


@given(make.events, st.data())
def test_a_wrong_value_in_any_event_field_never_escapes(
    event: EmotionEvent, data: st.DataObject
) -> None:
    fields = event.to_dict()
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(any_value)
    try:
        decode_record(entry(fields))
    except DecodeError as error:
        assert error.reason in {"malformed", "version"}


@pytest.mark.parametrize(
    ("fields", "reason", "text"),
    [
        ({}, "version", "expected wire version 1, got None"),
        (frame_fields(v=2), "version", "expected wire version 1, got 2"),
        (frame_fields(v=True), "version", "expected wire version 1, got True"),
        (frame_fields(seq=-1), "malformed", "seq: expected an integer from 0"),
        (frame_fields(source="a/b"), "malformed", "source: expected 1-128 printable"),
        (frame_fields(source=""), "malformed", "source: expected 1-128 printable"),
        (frame_fields(encoding="png"), "malformed", "encoding: expected one of jpeg, got 'png'"),
        (frame_fields(width=100_000), "malformed", "width: expected an integer from 1 to 16384"),
        (frame_fields(width=16_384, height=16_384), "oversized", "at most 40,000,000 pixels"),
        (frame_fields(width=31), "image", "expected a JPEG of 31x24, got 32x24"),
        (frame_fields(image=b"GIF89a"), "image", "expected a JPEG (ff d8), got 47 49"),
        (frame_fields(image=b""), "image", "expected a JPEG (ff d8), got nothing"),
        (frame_fields(image="text"), "malformed", "image: expected at most 8,388,608 bytes"),
        (frame_fields(captured_at_ns=1.5), "malformed", "captured_at_ns: expected an integer"),
    ],
)
def test_the_error_says_what_was_expected_and_what_came(
    fields: dict[str, Any], reason: str, text: str
) -> None:
    with pytest.raises(DecodeError) as caught:
        FrameMessage.decode(entry(fields))
    assert caught.value.reason == reason
    assert text in str(caught.value)


def test_an_entry_without_the_field_is_named() -> None:
    with pytest.raises(DecodeError, match="expected field b'm'") as caught:
        FrameMessage.decode({b"x": b"y"})
    assert caught.value.reason == "missing"


def huge_jpeg_header() -> bytes:
    """A JPEG header that claims 65,535 x 65,535 pixels: 12.9 GB once decoded."""
    return b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03" + bytes(20) + b"\xff\xd9"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(msgpack.packb(frame_fields(image=bytes(100_000_000))), id="100 MB image"),
        pytest.param(b"\x91" * 1_000_000, id="a million nested arrays"),
        pytest.param(b"\x81\xa1v" * 300_000, id="deeply nested maps"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="array of four billion"),
        pytest.param(b"\xdf\xff\xff\xff\xff", id="map of four billion"),
        pytest.param(b"\xc6\xff\xff\xff\xff", id="4 GB of bytes announced"),
        pytest.param(
            msgpack.packb(frame_fields(image=huge_jpeg_header())), id="65,535 x 65,535 JPEG header"
        ),
        pytest.param(
            msgpack.packb(frame_fields(image=huge_jpeg_header(), width=65_535, height=65_535)),
            id="the same, with a message that agrees",
        ),
    ],
)
def test_what_would_cost_memory_is_refused_before_it_does(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError):
            FrameMessage.decode({wire.FIELD: data})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < len(data) + 200_000 if len(data) < wire.MAX_FRAME_BYTES else peak < 200_000


def test_unknown_keys_are_ignored() -> None:
    assert FrameMessage.decode(entry(frame_fields(later="more"))) == FRAME


def test_a_sender_refuses_what_a_reader_would() -> None:
    with pytest.raises(EncodeError, match="source: expected 1-128 printable"):
        FrameMessage("a b", "s", 0, 0, None, 8, 8, make.jpeg(8, 8)).encode()
    with pytest.raises(EncodeError, match="image: expected at most"):
        FrameMessage("a", "s", 0, 0, None, 8, 8, bytes(9_000_000)).encode()
    with pytest.raises(EncodeError, match="number of faces"):
        face = FaceEmotion(Box(0, 0, 1, 1), 1.0, "a", {"a": 1.0}, 0.0, 0.0)
        EmotionEvent("a", "s", 0, 0, None, 0, 8, 8, "m", (face,) * 201).encode()


GOLDEN_EVENT = EmotionEvent(
    source="lobby",
    session="6f1d",
    seq=41,
    captured_at_ns=1_700_000_000_123_456_789,
    pts_ns=1_366_666_667,
    published_at_ns=1_700_000_000_223_456_789,
    width=640,
    height=480,
    model="ferplus-resnet50@c06e2a0408dd",
    faces=(
        FaceEmotion(
            Box(10, 20, 110, 150), 0.99, "happiness", {"neutral": 0.25, "happiness": 0.75}, 0.6, 0.4
        ),
    ),
)
GOLDEN_SOURCE = SourceRecord("거실", "6f1d", "ended", 1_700_000_001_000_000_000, 42)


def golden_frame() -> FrameMessage:
    image = (GOLDEN / "frame_v1.jpg").read_bytes()
    return FrameMessage(
        "lobby", "6f1d", 41, 1_700_000_000_123_456_789, 1_366_666_667, 32, 24, image,
        max_age_ns=500_000_000, trace=b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [("event_v1", GOLDEN_EVENT), ("source_v1", GOLDEN_SOURCE)],
)
def test_golden_records(name: str, expected: Record) -> None:
    data = (GOLDEN / f"{name}.msgpack").read_bytes()
    assert decode_record({wire.FIELD: data}) == expected
    assert expected.encode() == data


def test_golden_frame() -> None:
    data = (GOLDEN / "frame_v1.msgpack").read_bytes()
    assert FrameMessage.decode({wire.FIELD: data}) == golden_frame()
    assert golden_frame().encode() == data
