"""Whatever a dead letter holds, it can be shown, and putting it back changes one key."""

from __future__ import annotations

import io

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from contract import wire
from contract.keys import Keys
from tests.unit import strategies as make
from worker.dead.letters import DeadLetter, without_age_limit
from worker.dead.table import Row, hex_preview, print_json, print_letter, print_table

payloads = st.none() | st.binary(max_size=600) | st.builds(
    lambda fields, known: msgpack.packb({"v": 1, **fields, **known}),
    st.dictionaries(st.text() | st.binary(), make.any_values, max_size=5),
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("source", "session", "seq", "captured_at_ns", "image", "max_age_ns"), make.any_values
        ),
    ),
)  # fmt: skip


@given(
    payloads,
    st.dictionaries(
        st.sampled_from([b"reason", b"detail", b"attempts", b"at_ns", b"frame", b"left_out"]),
        st.binary(max_size=40),
    ),
)
def test_any_letter_can_be_shown(payload: bytes | None, fields: dict[bytes, bytes]) -> None:
    entry = fields if payload is None else {**fields, wire.FIELD: payload}
    letter = DeadLetter.of(Keys(), b"1-0", entry, name="1-0")
    shown = io.StringIO()
    for render in (print_table, print_json):
        render([Row.of(letter)], shown)
    print_letter(letter, shown)
    text = shown.getvalue()
    assert "1-0" in text
    assert all(char.isprintable() or char == "\n" for char in text)


@given(payloads.filter(lambda payload: payload is not None))
def test_putting_back_changes_the_age_limit_or_nothing(payload: bytes) -> None:
    back = without_age_limit(payload)
    if back != payload:
        old, new = (msgpack.unpackb(data, strict_map_key=False) for data in (payload, back))
        assert old.pop("max_age_ns") is not None
        assert new.pop("max_age_ns") is None
        assert repr(new) == repr(old)  # NaN is not equal to itself
        assert list(new) == list(old)


def test_a_preview_shows_offsets_bytes_and_text() -> None:
    first, second = hex_preview(b"emotion-stream\x00\xffab").splitlines()
    assert first == "0000  65 6d 6f 74 69 6f 6e 2d 73 74 72 65 61 6d 00 ff  emotion-stream.."
    assert second.split() == ["0010", "61", "62", "ab"]
