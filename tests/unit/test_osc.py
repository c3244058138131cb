"""What an OSC receiver is sent, read back with python-osc's own parser."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage

from consumer.sinks.control import ControlFrame
from consumer.sinks.osc import By, OscSource
from consumer.sinks.osc_packet import SAFE_BYTES, address_part, bundles, message, time_tag
from consumer.sinks.udp import UdpAddress
from contract.affect import Affect, Range
from contract.errors import UsageError
from tests.signals import at, person, record, transition
from tests.unit.arrivals import BUSY
from tests.unit.strategies import names


def _read(messages: Iterable[bytes]) -> list[tuple[str, list[object]]]:
    read = [OscMessage(data) for data in messages]
    return [(each.address, list(each.params)) for each in read]


def _source(by: By = "track", scale: Range = Range.SIGNED, source: str = "lobby") -> OscSource:
    return OscSource(source, by, scale)


def test_a_frame_says_everything_of_everybody() -> None:
    somebody = person(7, voice=2, scores={"neutral": 0.25, "happiness": 0.75})
    frame = ControlFrame("lobby", at(0), (somebody,), Affect(0.5, -0.25))
    assert _read(_source().messages(frame)) == [
        ("/emotion/lobby/labels", ["neutral", "happiness"]),
        ("/emotion/lobby/7/va", [pytest.approx(0.6075), pytest.approx(0.3825)]),
        ("/emotion/lobby/7/label", ["happiness"]),
        ("/emotion/lobby/7/weights", [0.25, 0.75]),
        ("/emotion/lobby/people", [1]),
        ("/emotion/lobby/room/va", [0.5, -0.25]),
    ]


def test_whoever_is_there_at_the_end_has_left() -> None:
    source = _source()
    list(source.messages(ControlFrame("lobby", at(0), (person(1), person(2)), None)))
    list(source.messages(ControlFrame("lobby", at(1), None, None, (transition(1, "person_left"),))))
    assert source.at_ns == at(1)
    assert _read(source.silence()) == [
        ("/emotion/lobby/2/left", []),
        ("/emotion/lobby/people", [0]),
    ]
    assert list(source.silence()) == []


def test_numbers_have_the_types_promised_whatever_their_values() -> None:
    somebody = person(scores={"neutral": 1.0, "happiness": 0.0})
    frame = ControlFrame("lobby", at(0), (somebody,), Affect(0, 1))  # ints, as from JSON
    types = [data[data.index(b",") :].split(b"\0")[0] for data in _source().messages(frame)]
    assert types == [b",ss", b",ff", b",s", b",ff", b",i", b",ff"]


def test_by_voice_the_addresses_are_voices() -> None:
    source = _source("voice")
    changed = transition(0, "emotion_changed", track=3, before="neutral")
    frame = ControlFrame("lobby", at(0), (person(3, voice=1),), None, (changed,))
    addresses = [address for address, _ in _read(source.messages(frame))]
    assert addresses[0] == "/emotion/lobby/3/changed"  # a transition made with voice = track
    assert "/emotion/lobby/1/va" in addresses


def test_values_of_0_to_1() -> None:
    somebody = person(scores={"happiness": 1.0})
    frame = ControlFrame("lobby", at(0), (somebody,), Affect(-1.0, 0.0))
    told = dict(_read(_source(scale=Range.UNIT).messages(frame)))
    assert told["/emotion/lobby/1/va"] == [pytest.approx(0.905), pytest.approx(0.755)]
    assert told["/emotion/lobby/room/va"] == [0.0, 0.5]


def test_changes_come_before_values_and_the_end_after_them() -> None:
    changes = (
        record(0, "started"),
        transition(0, "person_left", 1),
        transition(0, "person_entered", 2),
        transition(0, "emotion_changed", 2, before="neutral"),
        record(0, "ended"),
    )
    source = _source()
    told = _read(source.messages(ControlFrame("lobby", at(0), (person(2),), None, changes)))
    assert told[:4] == [
        ("/emotion/lobby/state", ["started"]),
        ("/emotion/lobby/1/left", []),
        ("/emotion/lobby/2/entered", []),
        ("/emotion/lobby/2/changed", ["neutral", "happiness"]),
    ]
    assert told[-1] == ("/emotion/lobby/state", ["ended"])
    assert source.is_over


def test_labels_repeat_every_second_and_their_order_every_two() -> None:
    source = _source()
    told = {"label": 0, "labels": 0, "va": 0}
    for tick in range(41):
        for address, _ in _read(
            source.messages(ControlFrame("lobby", at(tick / 10), (person(1),), None))
        ):
            name = address.rsplit("/", 1)[1]
            told[name] = told.get(name, 0) + 1
    assert (told["va"], told["label"], told["labels"]) == (41, 5, 3)


def test_a_new_label_is_told_at_once() -> None:
    source = _source()
    list(source.messages(ControlFrame("lobby", at(0), (person(1),), None)))
    other = person(1, label="calm", scores={"calm": 0.9, "glad": 0.1})
    told = dict(_read(source.messages(ControlFrame("lobby", at(0.1), (other,), None))))
    assert told["/emotion/lobby/1/label"] == ["calm"]
    assert told["/emotion/lobby/labels"] == ["neutral", "happiness", "calm", "glad"]
    assert told["/emotion/lobby/1/weights"] == [0.0, 0.0, pytest.approx(0.9), pytest.approx(0.1)]


def test_a_weight_keeps_its_place_while_models_take_turns() -> None:
    source = _source()
    scores = ({"happiness": 0.25, "neutral": 0.75}, {"neutral": 0.75, "happiness": 0.25})
    for tick in range(9):
        people = tuple(person(n, scores=scores[(tick + n) % 2]) for n in (1, 2))
        told = _read(source.messages(ControlFrame("lobby", at(tick / 10), people, None)))
        assert [values for address, values in told if address.endswith("weights")] == [
            [0.75, 0.25]
        ] * 2
        assert sum(address == "/emotion/lobby/labels" for address, _ in told) == (tick == 0)


def test_nobody_is_told_as_well() -> None:
    assert _read(_source().messages(ControlFrame("lobby", at(0), (), None))) == [
        ("/emotion/lobby/people", [0])
    ]


def test_korean_is_readable_and_composed() -> None:
    decomposed = "카메라"  # as a file name on a Mac
    assert address_part(decomposed) == "카메라"
    frame = ControlFrame("카메라", at(0), (person(label="기쁨"),), None)
    told = dict(_read(_source(source="카메라").messages(frame)))
    assert told["/emotion/카메라/1/label"] == ["기쁨"]


@BUSY
@given(names)
def test_an_address_never_holds_what_osc_forbids(name: str) -> None:
    part = address_part(name)
    assert not set(part) & set(" #*,/?[]{}")
    assert part.isprintable()


def test_forbidden_characters_are_written_as_in_urls() -> None:
    assert address_part("cam#1[left]{*},?100%") == "cam%231%5Bleft%5D%7B%2A%7D%2C%3F100%25"


@BUSY
@given(st.integers(0, 2**62))
def test_a_time_tag_is_exact_to_the_nanosecond(at_ns: int) -> None:
    tag = int.from_bytes(time_tag(at_ns))
    seconds, ns = tag >> 32, (tag & 0xFFFF_FFFF) * 1_000_000_000 >> 32
    assert (seconds - 2_208_988_800) % 2**32 == at_ns // 1_000_000_000 % 2**32
    assert ns == at_ns % 1_000_000_000


@BUSY
@given(st.lists(st.integers(1, 900), max_size=40))
def test_bundles_hold_everything_in_order_within_the_safe_size(lengths: list[int]) -> None:
    sent = [message("/a", "x" * length, n) for n, length in enumerate(lengths)]
    datagrams = list(bundles(at(0), sent))
    assert [content for datagram in datagrams for content in _contents(datagram)] == sent
    assert all(len(datagram) <= SAFE_BYTES for datagram in datagrams)


def test_a_message_too_long_for_a_safe_datagram_is_alone_in_its_bundle() -> None:
    sent = [message("/a", 1), message("/long", "x" * 3000), message("/b", 2)]
    assert [len(list(_contents(datagram))) for datagram in bundles(at(0), sent)] == [1, 1, 1]


def _contents(datagram: bytes) -> Iterator[bytes]:
    for content in OscBundle(datagram):
        yield content.dgram


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:9000", "127.0.0.1", 9000),
        ("studio.local:57120", "studio.local", 57120),
        ("[::1]:9000", "::1", 9000),
        ("[fe80::1%eth0]:9000", "fe80::1%eth0", 9000),
        ("239.1.2.3:65535", "239.1.2.3", 65535),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert UdpAddress.parse(text) == UdpAddress(host, port)
    assert str(UdpAddress.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "9000", "host", "host:", ":9000", "host:0", "host:65536", "host:x", "::1:9000",
             "[::1]", "[]:9000", "a:1,b:2", "host:９"]
)  # fmt: skip
def test_what_is_no_address_is_refused_with_the_flag(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--osc .*expected HOST:PORT"):
        UdpAddress.parse(text)
