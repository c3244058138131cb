"""Whatever a file or a stranger holds, each decoder reads it or says in its own error why not."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import cv2
import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from consumer.progress import format_id, parse_start
from contract import wire
from contract.artifact import ModelManifest, file_sha256, find_artifact
from contract.errors import ArtifactError, DecodeError, UsageError
from contract.event import EmotionEvent, SourceRecord, decode_record, record_from_dict
from contract.frame import FrameMessage
from contract.jpeg import jpeg_size
from tests.unit import strategies as make
from tests.unit.test_ferplus import NEW, OLD, lay_out
from trainer.data.ferplus import FerPlusSplit, Votes, read_split

# What JSON can hold, deeper and odder than any of our files.
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)


def changed(fields: dict[str, Any], draw: st.DataObject, values: st.SearchStrategy[Any]) -> None:
    """Put something else into one to three places of `fields`, at any depth, or take them out."""
    for _ in range(draw.draw(st.integers(1, 3))):
        place: Any = fields
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw.draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw.draw(st.booleans()):
                place = place[key]
                continue
            if draw.draw(st.integers(0, 3)):
                place[key] = draw.draw(values)
            else:
                del place[key]
            break


@given(make.events | make.source_records, st.data())
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_changed_record_is_a_record_or_refused(
    record: EmotionEvent | SourceRecord, data: st.DataObject
) -> None:
    fields = record.to_dict()
    changed(fields, data, make.any_values)
    packed = msgpack.packb(fields)
    for read in (
        lambda: decode_record({wire.FIELD: packed}),
        lambda: record_from_dict(fields),
    ):
        with contextlib.suppress(DecodeError):
            again = read()
            assert decode_record({wire.FIELD: again.encode()}) == again


@given(st.dictionaries(st.text(max_size=10), json_values, max_size=5))
def test_any_json_object_is_a_record_or_refused(fields: dict[str, Any]) -> None:
    for kind in ("frame", "source"):
        with pytest.raises(DecodeError):
            record_from_dict({**fields, "kind": kind})


@given(
    st.dictionaries(st.binary(max_size=300), st.binary(max_size=50), max_size=8),
    st.none() | st.dictionaries(st.text() | st.binary(), make.any_values, max_size=8),
)
def test_any_entry_is_refused_with_a_short_text(
    entry: dict[bytes, bytes], message: dict[Any, Any] | None
) -> None:
    if message is not None:
        entry[wire.FIELD] = msgpack.packb({"v": 1, **message})
    for decode in (FrameMessage.decode, decode_record):
        with pytest.raises(DecodeError) as caught:
            decode(entry)
        assert len(str(caught.value)) < 600


PICTURES = [make.jpeg(16, 8), make.jpeg(40, 24)]


@given(
    st.sampled_from(PICTURES),
    st.lists(
        st.tuples(
            st.sampled_from(["flip", "insert", "cut"]),
            st.floats(0, 1, exclude_max=True),
            st.binary(min_size=1, max_size=8),
        ),
        min_size=1,
        max_size=4,
    ),
)
@settings(max_examples=400, deadline=None)
def test_a_damaged_jpeg_never_decodes_to_another_size_than_we_measure(
    picture: bytes, damage: list[tuple[str, float, bytes]]
) -> None:
    data = bytearray(picture)
    for kind, where, new in damage:
        at = int(where * len(data))
        if kind == "flip":
            data[at : at + 1] = new[:1]
        elif kind == "insert":
            data[at:at] = new
        else:
            del data[at + 1 : at + 1 + 40 * len(new)]
    try:
        width, height = jpeg_size(bytes(data))
    except DecodeError as error:
        assert error.reason == "image"
        return
    if width * height <= 1_000_000:
        image = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        )
        assert image is None or image.shape[:2] == (height, width)


@given(st.binary(max_size=300))
@example(b"\xff\xd8" + b"\xff" * 100)
@example(b"\xff\xd8\xff\xe0\xff\xff")
def test_any_bytes_have_a_jpeg_size_or_none(data: bytes) -> None:
    for image in (data, b"\xff\xd8" + data, PICTURES[0][:20] + data):
        with contextlib.suppress(DecodeError):
            width, height = jpeg_size(image)
            assert 0 <= width < 2**16
            assert 0 <= height < 2**16


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artifact") / "mine.keras"
    path.write_bytes(b"weights")
    return path


@given(st.data())
def test_a_changed_manifest_is_read_or_refused(artifact: Path, data: st.DataObject) -> None:
    manifest = artifact.with_suffix(".json")
    ModelManifest(
        name="mine", file=artifact.name, sha256=file_sha256(artifact), labels=("glad", "슬픔"),
        made={"data": ["FER+"]}, measured={"accuracy": 0.9},
    ).write(manifest)  # fmt: skip
    fields = json.loads(manifest.read_text("utf-8"))
    changed(fields, data, json_values)
    manifest.write_text(json.dumps(fields), "utf-8")
    with contextlib.suppress(ArtifactError):
        _, read = find_artifact(artifact)
        assert 2 <= len(read.labels) <= wire.MAX_LABELS
        assert read.temperature > 0


@given(st.binary(max_size=100) | json_values.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b'{"format": 1' + b"0" * 10_000 + b"}")
@example(b"\xef\xbb\xbf{}")
def test_any_file_is_a_manifest_or_refused(artifact: Path, data: bytes) -> None:
    artifact.with_suffix(".json").write_bytes(data)
    with pytest.raises(ArtifactError, match=r"mine\.json: "):
        find_artifact(artifact)


@given(st.text() | st.from_regex(r"[0-9]{1,25}(-[0-9]{1,25})?", fullmatch=True))
@example("٣-٤")
@example(f"{2**64}")
@example(f"{2**64 - 1}-{2**64 - 1}")
def test_a_start_is_read_and_written_alike_or_refused(text: str) -> None:
    try:
        start = parse_start(text)
    except ValueError as error:
        assert "expected now, beginning or a stream id" in str(error)
        return
    if not isinstance(start, str):
        assert parse_start(format_id(start)) == start
        assert all(0 <= part < 2**64 for part in start)


@pytest.fixture(scope="module")
def ferplus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_out(tmp_path_factory.mktemp("ferplus"))


def spoiled(lines: list[str], data: st.DataObject) -> bytes:
    """A votes file with a few places overwritten by something else."""
    text = bytearray("\r\n".join(lines).encode())
    piece = (
        st.sampled_from([b",", b'"', b"\r\n", b"\x00", b"-1", b"9" * 30, b"../", b"/", b"."])
        | st.binary(max_size=6)
    )  # fmt: skip
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 12))] = data.draw(piece)
    return bytes(text)


@given(st.data(), st.sampled_from(["new", "old"]))
@settings(max_examples=300, deadline=None)
def test_a_spoiled_votes_file_is_read_or_refused(
    ferplus: Path, data: st.DataObject, votes: Votes
) -> None:
    top = ferplus / "data"
    if votes == "new":
        (top / "fer2013new.csv").write_bytes(spoiled(NEW, data))
    else:
        (top / "FER2013Test" / "label.csv").write_bytes(spoiled(OLD, data))
    with contextlib.suppress(UsageError):
        split = read_split(ferplus, "test", votes)
        assert isinstance(split, FerPlusSplit)
        assert len(split.ids) == len(split.images) == len(split.votes)
        assert (split.votes >= 0).all()
