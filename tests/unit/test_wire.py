"""Messages survive the wire; anything else is a DecodeError, at no cost in memory."""

from __future__ import annotations

import json
import math
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract import wire
from contract.artifact import check_labels
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
from contract.jpeg import jpeg_size
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


@given(st.sampled_from(sorted(frame_fields())), make.any_values)
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
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(make.any_values)
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


def with_containers(fields: dict[str, Any], rows: int) -> bytes:
    """`fields` and an unknown key that holds rows x 200 x 200 empty maps, a byte each."""

    def of_200(item: bytes) -> bytes:
        return b"\xdc\x00\xc8" + item * 200

    most = b"\xdc" + rows.to_bytes(2, "big") + of_200(of_200(b"\x80")) * rows
    data: bytes = msgpack.packb({**fields, "later": None})
    return data[:-1] + most


def two_sizes(before_the_small_one: bytes) -> bytes:
    """A frame message whose JPEG claims 8x8 after a real JPEG patched to 12,000 x 12,000, which is
    hidden in a segment that `before_the_small_one` begins.
    """
    large = bytearray(make.jpeg(16, 16))
    at = large.index(b"\xff\xc0") + 5
    large[at : at + 4] = (12_000).to_bytes(2, "big") * 2
    hidden = bytes(large[2:])
    small = make.jpeg(8, 8)
    image = small[:2] + before_the_small_one + (len(hidden) + 2).to_bytes(2, "big") + hidden
    data: bytes = msgpack.packb(frame_fields(image=image + small[2:], width=8, height=8))
    return data


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
        pytest.param(with_containers(frame_fields(), 200), id="eight million empty maps"),
        pytest.param(two_sizes(b"\xff\x00"), id="a second frame header, after stuffing"),
        *(
            pytest.param(two_sizes(bytes([0xFF, marker])), id=f"the same, after ff {marker:02x}")
            for marker in (0x01, 0x02, 0xBF, 0xD0, 0xD8, 0xDC, 0xDE, 0xF0, 0xFD)
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


def test_an_event_of_a_million_empty_maps_costs_no_memory() -> None:
    data = with_containers(GOLDEN_EVENT.to_dict(), 25)
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="more than 2,000 maps and lists"):
            decode_record({wire.FIELD: data})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_a_jpeg_may_hold_metadata_of_every_kind() -> None:
    image = make.jpeg(32, 24)
    for marker in (0xE0, 0xE1, 0xEF, 0xFE, 0xDB, 0xC4, 0xCC, 0xDD):
        image = image[:2] + bytes([0xFF, 0xFF, marker, 0, 4, 1, 2]) + image[2:]
    assert jpeg_size(image) == (32, 24)


def test_unknown_keys_are_ignored() -> None:
    later = {"later": [{"more": [1, 2]}, {}]}
    assert FrameMessage.decode(entry(frame_fields(**later))) == FRAME


def test_the_fullest_event_fits() -> None:
    labels = [f"{index:02d}" + "\U0001f600" * (wire.MAX_LABEL_CHARS - 2) for index in range(32)]
    assert check_labels(labels) == tuple(labels)
    longest = "\U0001f600" * wire.MAX_NAME_CHARS
    side = wire.MAX_IMAGE_SIDE_PX
    box = Box(side - 2, side - 2, side, side)
    face = FaceEmotion(box, 1 / 3, labels[0], dict.fromkeys(labels, 1 / 32), 1 / 3, 1 / 3)
    most = wire.INT64_MAX
    event = EmotionEvent(
        longest, longest, most, most, most, most, side, side, longest, (face,) * wire.MAX_FACES
    )
    assert decode_record({wire.FIELD: event.encode()}) == event


def test_a_sender_refuses_what_a_reader_would() -> None:
    with pytest.raises(EncodeError, match="source: expected 1-128 printable"):
        FrameMessage("a b", "s", 0, 0, None, 8, 8, make.jpeg(8, 8)).encode()
    with pytest.raises(EncodeError, match="image: expected at most"):
        FrameMessage("a", "s", 0, 0, None, 8, 8, bytes(9_000_000)).encode()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"seq": -1}, "seq: expected an integer from 0"),
        ({"seq": True}, "seq: expected an integer from 0"),
        ({"captured_at_ns": 2**63}, "captured_at_ns: expected an integer"),
        ({"captured_at_ns": 1.5}, "captured_at_ns: expected an integer"),
        ({"pts_ns": -(2**63)}, "pts_ns: expected an integer"),
        ({"width": 16_385}, "width: expected an integer from 1 to 16384"),
        ({"width": 8_000, "height": 8_000}, "expected at most 40,000,000 pixels, got 8000x8000"),
        ({"encoding": "png"}, "encoding: expected one of jpeg"),
        ({"max_age_ns": -1}, "max_age_ns: expected an integer from 0"),
        ({"trace": bytes(513)}, "trace: expected at most 512 bytes"),
    ],
)
def test_a_frame_is_not_sent_with(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(EncodeError, match=text):
        replace(FRAME, **changes).encode()


FACE = FaceEmotion(Box(0, 0, 1, 1), 1.0, "a", {"a": 1.0}, 0.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"faces": (FACE,) * 201}, "faces: expected a list of at most 200 faces"),
        ({"source": "a/b"}, "source: expected 1-128 printable"),
        ({"model": "m" * 129}, "model: expected 1-128 printable"),
        ({"published_at_ns": -1}, "published_at_ns: expected an integer"),
        ({"height": 0}, "height: expected an integer from 1"),
        ({"faces": (replace(FACE, box=Box(3, 0, 3, 1)),)}, "box: expected left < right"),
        ({"faces": (replace(FACE, box=Box(-1, 0, 3, 1)),)}, "box: expected an integer from 0"),
        ({"faces": (replace(FACE, detection=1.1),)}, "detection: expected a number from 0 to 1"),
        ({"faces": (replace(FACE, label="so so"),)}, "label: expected 1-128 printable"),
        ({"faces": (replace(FACE, scores={}),)}, "scores: expected a map of 1-32 labels"),
        (
            {"faces": (replace(FACE, scores={f"l{i}": 0.0 for i in range(33)}),)},
            "scores: expected a map of 1-32 labels",
        ),
        ({"faces": (replace(FACE, scores={"a": math.nan}),)}, "scores: expected a number"),
        ({"faces": (replace(FACE, valence=-2.0),)}, "valence: expected a number from -1 to 1"),
    ],
)
def test_an_event_is_not_sent_with(changes: dict[str, Any], text: str) -> None:
    event = EmotionEvent("a", "s", 0, 0, None, 0, 8, 8, "m", (FACE,))
    with pytest.raises(EncodeError, match=text):
        replace(event, **changes).encode()


def test_a_source_record_is_not_sent_with_another_state() -> None:
    with pytest.raises(EncodeError, match="state: expected one of started, ended, offline"):
        SourceRecord("a", "s", "asleep", 0).encode()  # type: ignore[arg-type]
    with pytest.raises(EncodeError, match="frames: expected an integer from 0"):
        SourceRecord("a", "s", "ended", 0, -1).encode()


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
    [
        ("event_v1", GOLDEN_EVENT),
        ("source_v1", GOLDEN_SOURCE),
        ("source_v1_moved", replace(GOLDEN_SOURCE, moved=True)),
    ],
)
def test_golden_records(name: str, expected: Record) -> None:
    data = (GOLDEN / f"{name}.msgpack").read_bytes()
    assert decode_record({wire.FIELD: data}) == expected
    assert expected.encode() == data


def test_golden_frame() -> None:
    data = (GOLDEN / "frame_v1.msgpack").read_bytes()
    assert FrameMessage.decode({wire.FIELD: data}) == golden_frame()
    assert golden_frame().encode() == data
