"""contract/asyncapi.yaml says what the code does: the same fields, ranges and words."""

from __future__ import annotations

import copy
import math
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import jsonschema
import msgpack
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from contract import wire
from contract.errors import DecodeError
from contract.event import EmotionEvent, Record, SourceState, decode_record
from contract.frame import FrameMessage
from contract.keys import DEFAULT_PREFIX, Keys, partition_of
from contract.smoothed import Change, Rejection, Signal, decode_signal
from tests.unit import strategies as make

DOCUMENT = yaml.safe_load(
    (Path(__file__).parents[2] / "contract" / "asyncapi.yaml").read_text("utf-8")
)
SCHEMAS = DOCUMENT["components"]["schemas"]
MESSAGES = DOCUMENT["components"]["messages"]
_MISSING = object()


# JSON Schema of msgpack: integers are no floats and the other way round, bytes are no text, and
# patterns know the categories of Unicode, as ECMAScript's do.


@cache
def _characters(category: str) -> str:
    """The inside of a character class: all characters of C (other) or Z (separators)."""
    found = [
        n for n in range(sys.maxunicode + 1) if unicodedata.category(chr(n)).startswith(category)
    ]
    parts = []
    for _, group in groupby(enumerate(found), key=lambda pair: pair[1] - pair[0]):
        run = [n for _, n in group]
        parts.append(f"\\U{run[0]:08x}-\\U{run[-1]:08x}")
    return "".join(parts)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    python = re.sub(r"\\p\{([CZ])\}", lambda match: _characters(match[1]), pattern)
    return re.compile(python.replace("$", r"\Z"))


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(value, str) and not _compiled(pattern).search(value):
        yield jsonschema.ValidationError(f"{wire.short(value)} is not {pattern}")


def _type(validator: Any, types: Any, value: Any, schema: Any) -> Any:
    wanted = [types] if isinstance(types, str) else types
    if schema.get("format") == "binary":
        wanted = ["binary" if name == "string" else name for name in wanted]
    if not any(validator.is_type(value, name) for name in wanted):
        yield jsonschema.ValidationError(f"{wire.short(value)} is not {wanted}")


def _max_length(_: Any, most: int, value: Any, __: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(value, str | bytes) and len(value) > most:
        yield jsonschema.ValidationError(f"longer than {most}")


def _is_number(_: Any, value: Any) -> bool:
    return type(value) is int or (isinstance(value, float) and math.isfinite(value))


Msgpack: Any = jsonschema.validators.extend(
    Draft7Validator,
    {"pattern": _pattern, "type": _type, "maxLength": _max_length},
    type_checker=Draft7Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,
            "number": _is_number,
            "binary": lambda _, value: isinstance(value, bytes),
        }
    ),
)


def validator(channel: str) -> Any:
    """Of what may be in a channel."""
    names = DOCUMENT["channels"][channel]["messages"]
    payloads = [MESSAGES[name]["payload"] for name in names]
    return Msgpack({"anyOf": payloads, "components": {"schemas": SCHEMAS}})


VALIDATORS = {channel: validator(channel) for channel in ("events", "smoothed", "frames")}
DECODERS: Mapping[str, Callable[[wire.Entry], Any]] = {
    "events": decode_record,
    "smoothed": decode_signal,
    "frames": FrameMessage.decode,
}
FRAME = FrameMessage("lobby", "6f1d", 41, 1, 2, 8, 8, make.jpeg(8, 8), "jpeg", 3, b"trace")


def frame_fields(frame: FrameMessage) -> dict[str, Any]:
    return {
        "v": wire.VERSION,
        **{field.name: getattr(frame, field.name) for field in fields(frame)},
    }


# Every field in use, so that a change of each can be tried.
SAMPLES: list[tuple[str, dict[str, Any]]] = [
    ("events", MESSAGES["emotionEvent"]["examples"][0]["payload"]),
    ("events", MESSAGES["sourceRecord"]["examples"][0]["payload"]),
    ("smoothed", MESSAGES["smoothedEvent"]["examples"][0]["payload"]),
    ("smoothed", MESSAGES["transition"]["examples"][0]["payload"]),
    ("smoothed", MESSAGES["sourceRecord"]["examples"][0]["payload"]),
    ("frames", frame_fields(FRAME)),
]


def is_described(channel: str, message: Any) -> bool:
    """Whether the document allows it, with what it says in words."""
    return bool(VALIDATORS[channel].is_valid(message)) and not _has_twisted_box(message)


def _has_twisted_box(message: Any) -> bool:
    for face in [
        item
        for key in ("faces", "people", "rejected")
        if isinstance(message.get(key), list)
        for item in message[key]
    ]:
        left, top, right, bottom = face["box"]
        if left >= right or top >= bottom:
            return True
    return False


def is_read(channel: str, message: Any) -> bool:
    """Whether our readers take it."""
    try:
        DECODERS[channel]({wire.FIELD: msgpack.packb(message)})
    except DecodeError as error:
        # The size and the bytes of a JPEG are described in words.
        return channel == "frames" and error.reason in {"image", "oversized"}
    return True


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a message there is something that could be something else."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def changed(message: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy with another value there, or with nothing if it is `_MISSING`."""
    result = copy.deepcopy(message)
    holder: Any = result
    for step in path[:-1]:
        holder = holder[step]
    if value is _MISSING:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return result


WORDS = ("frame", "source", "smoothed", "transition", "jpeg", "png", "asleep")
VALUES: tuple[Any, ...] = (
    _MISSING, None, True, False, [], {}, [1], {"a": 1}, b"", "",
    *(0, 1, 2, -1, 32, 33, 128, 200, 16_384, 16_385, 1_000_000, 1_000_001, 2**53, 2**63 - 1, 2**63),
    *(-(2**63), 1 - 2**63, 2**64 - 1, 0.0, -0.0, 1.0, 0.5, -0.5, -1.0, 1.5, -1.5, 1e6, 1e6 + 1),
    *(math.nan, math.inf, -math.inf, 5e-324, 1.0000000000000002, -1.0000000000000002),
    *("a", "a b", "a/b", " ", "\n", "a\n", "a\tb", "\x00", "\u200b", "\u3000", "\ue000", "\u0378"),
    *("기쁨", "\U0001f600", "e\u0301", "x" * 128, "x" * 129, "한" * 128, "한" * 129),
    *(b"a", bytes(512), bytes(513)),
    *([0, 0, 1, 1], [0, 0, 16_384, 16_384], [0, 0, 16_385, 1], [-1, 0, 1, 1], [0, 0, 1], [0] * 5),
    *([0.0, 0, 1, 1], [True, 0, 1, 1], [None] * 4, [{}], [[]], [0] * 200, [0] * 201),
    *({"a b": 0.5}, {"a": 1.5}, {"a": None}, {"": 0.5}, {"a": -0.1}, {"a": 0, "b": 1}),
    *({str(n): 0.0 for n in range(count)} for count in (32, 33)),
    *({"valence": 1, "arousal": -1}, {"valence": 0.5}, {"valence": 2, "arousal": 0}),
    *(*get_args(SourceState), *get_args(Change), *get_args(Rejection), *WORDS),
)  # fmt: skip


LARGE = (bytes(8 * 2**20), bytes(8 * 2**20 + 1))


@settings(max_examples=50)
@given(make.events | make.source_records)
def test_every_record_is_described(record: Record) -> None:
    VALIDATORS["events"].validate(record.to_dict())


@settings(max_examples=50)
@given(make.signals)
def test_every_signal_is_described(signal: Signal) -> None:
    VALIDATORS["smoothed"].validate(signal.to_dict())


@settings(max_examples=50)
@given(make.frames())
def test_every_frame_is_described(frame: FrameMessage) -> None:
    VALIDATORS["frames"].validate(msgpack.unpackb(frame.encode()))


@pytest.mark.parametrize(
    ("channel", "sample"), SAMPLES, ids=[sample.get("kind", "image") for _, sample in SAMPLES]
)
def test_what_the_document_refuses_our_readers_refuse_and_the_other_way_round(
    channel: str, sample: dict[str, Any]
) -> None:
    assert is_described(channel, sample)
    assert is_read(channel, sample)
    refused = 0
    for path in places(sample):
        if path == ("id",):
            continue  # our readers make it of its parts
        for value in VALUES + (LARGE if path == ("image",) else ()):
            message = changed(sample, path, value)
            expected = is_read(channel, message)
            refused += not expected
            told = "missing" if value is _MISSING else wire.short(value)
            assert is_described(channel, message) == expected, f"{path} {told}"
    assert refused > 10 * len(sample)


@settings(deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_and_so_for_any_value(sample: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    channel, message = sample
    path = data.draw(st.sampled_from([path for path in places(message) if path != ("id",)]))
    value = data.draw(make.any_values | make.names | st.floats(-2, 2))
    other = changed(message, path, value)
    assert is_described(channel, other) == is_read(channel, other)


@settings(deadline=None)
@given(make.events, st.data())
def test_and_so_for_any_face_of_any_event(event: EmotionEvent, data: st.DataObject) -> None:
    fields = event.to_dict()
    path = data.draw(st.sampled_from([path for path in places(fields) if path != ("id",)]))
    other = changed(fields, path, data.draw(st.sampled_from(VALUES[1:])))
    assert is_described("events", other) == is_read("events", other)


@pytest.mark.parametrize("seq", ["", "x", "-1"])
def test_an_id_is_source_session_and_number(seq: str) -> None:
    _, sample = SAMPLES[0]
    assert not is_described("events", sample | {"id": f"lobby/6f1d/{seq}"})
    assert not is_described("events", sample | {"id": "lobby/41"})
    assert not is_described("events", changed(sample, ("id",), _MISSING))


def test_lists_may_be_as_long_as_the_code_says() -> None:
    for (channel, sample), key in zip(
        [SAMPLES[0], SAMPLES[2], SAMPLES[2]], ("faces", "people", "rejected"), strict=True
    ):
        for count, expected in ((0, True), (wire.MAX_FACES, True), (wire.MAX_FACES + 1, False)):
            message = sample | {key: sample[key] * count}
            assert is_described(channel, message) == is_read(channel, message) == expected


def test_the_samples_have_every_field_of_the_document_and_no_other() -> None:
    """So that a field which one side alone has is found."""
    described = {
        "EmotionEvent": (SAMPLES[0][1], decode_record),
        "SourceRecord": (SAMPLES[1][1], decode_record),
        "SmoothedEvent": (SAMPLES[2][1], decode_signal),
        "Transition": (SAMPLES[3][1], decode_signal),
    }
    for name, (sample, decode) in described.items():
        assert set(SCHEMAS[name]["properties"]) == set(sample)
        # What we would write ourselves has the same fields, down to the last one.
        assert decode({wire.FIELD: msgpack.packb(sample)}).to_dict() == sample
    assert set(SCHEMAS["FrameMessage"]["properties"]) == set(msgpack.unpackb(FRAME.encode()))
    event, smoothed = SAMPLES[0][1], SAMPLES[2][1]
    for name, part in (
        ("Face", event["faces"][0]),
        ("Person", smoothed["people"][0]),
        ("Room", smoothed["room"]),
        ("RejectedFace", smoothed["rejected"][0]),
    ):
        assert set(SCHEMAS[name]["properties"]) == set(part)


def test_all_examples_are_what_they_are_examples_of() -> None:
    for message in MESSAGES.values():
        for example in message.get("examples", []):
            Msgpack({**message["payload"], "components": {"schemas": SCHEMAS}}).validate(
                example["payload"]
            )


def test_channels_are_the_keys() -> None:
    keys = Keys(partition=3)
    default = DOCUMENT["components"]["parameters"]["prefix"]["default"]
    assert default == DEFAULT_PREFIX
    for name, channel in DOCUMENT["channels"].items():
        address = channel["address"].replace("{prefix}", default).replace("{partition}", "{3}")
        assert address == getattr(keys, name)


def test_partitions_are_found_as_described() -> None:
    def crc32(data: bytes) -> int:  # bit by bit, from the polynomial in the description
        crc = 0xFFFFFFFF
        for byte in data:
            crc ^= byte
            for _ in range(8):
                crc = (crc >> 1) ^ (0xEDB88320 if crc & 1 else 0)
        return crc ^ 0xFFFFFFFF

    assert "0xEDB88320" in DOCUMENT["info"]["description"]
    for source in ("lobby", "거실", "a" * 128):
        assert partition_of(source, 7) == crc32(source.encode("utf-8")) % 7


def test_limits_in_the_text_are_those_of_the_code() -> None:
    text = " ".join(DOCUMENT["info"]["description"].split())
    assert wire.MAX_EVENT_BYTES == 2**20
    assert wire.MAX_FRAME_BYTES == 8 * 2**20 + 4096
    assert (
        f"at most 1 MiB long, with at most {wire.MAX_FACES} faces and "
        f"{wire.MAX_EVENT_CONTAINERS:,} maps and lists; a frame is at most 8 MiB and 4 KiB" in text
    )
    image = SCHEMAS["FrameMessage"]["properties"]["image"]["description"]
    assert f"at most {wire.MAX_IMAGE_PIXELS:,} of them" in image


def test_every_reference_leads_somewhere_and_nothing_is_left_over() -> None:
    seen = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(reference := value.get("$ref"), str):
                target: Any = DOCUMENT
                for step in reference.removeprefix("#/").split("/"):
                    target = target[step]
                seen.add(reference)
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(DOCUMENT)
    for group in ("schemas", "messages", "parameters"):
        for name in DOCUMENT["components"][group]:
            assert f"#/components/{group}/{name}" in seen
    for schema in SCHEMAS.values():
        # Patterns are ECMAScript's, which Python's own check would refuse.
        Draft7Validator.check_schema(schema, format_checker=jsonschema.FormatChecker([]))
