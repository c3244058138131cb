"""Valence and arousal: cited, weighted by probability, replaceable."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.units import parse_duration, parse_rate
from contract.affect import COORDINATES, Range, read_coordinates, valence_arousal
from contract.errors import UsageError


def test_coordinates_are_russells_and_mehrabians() -> None:
    assert COORDINATES["happiness"] == (0.81, 0.51)
    assert COORDINATES["sadness"] == (-0.63, -0.27)
    assert COORDINATES["contempt"] == (-0.23, 0.31)
    assert valence_arousal({"happiness": 0.5, "sadness": 0.5}) == pytest.approx((0.09, 0.12))
    assert valence_arousal({"happiness": 0.5, "something else": 0.5}) == pytest.approx(
        (0.405, 0.255)
    )


@given(st.dictionaries(st.sampled_from(sorted(COORDINATES)), st.floats(0.0, 1.0), min_size=1))
def test_they_stay_in_their_range_whatever_the_scores(scores: dict[str, float]) -> None:
    valence, arousal = valence_arousal(scores)
    assert -1.0 <= valence <= 1.0
    assert -1.0 <= arousal <= 1.0
    assert 0.0 <= Range.UNIT(valence) <= 1.0
    assert Range.SIGNED(valence) == valence


def test_a_table_of_ones_own_replaces_label_by_label(tmp_path: Path) -> None:
    path = tmp_path / "affect.json"
    path.write_text('{"neutral": [0, 0.1], "bored": [-0.65, -0.62]}')
    table = read_coordinates(path)
    assert table["neutral"] == (0.0, 0.1)
    assert table["bored"] == (-0.65, -0.62)
    assert table["happiness"] == COORDINATES["happiness"]
    assert valence_arousal({"bored": 1.0}, table) == (-0.65, -0.62)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("not json", "expected a JSON object"),
        ("[1]", "expected a JSON object, got list"),
        ('{"happiness": 3}', r"happiness: expected \[valence, arousal\], each -1 to 1, got 3"),
        ('{"happiness": [0, 2]}', r"each -1 to 1, got \[0, 2\]"),
        ('{"happiness": [0, true]}', r"each -1 to 1, got \[0, True\]"),
        ('{"happiness": [0, NaN]}', r"each -1 to 1, got \[0, nan\]"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "affect.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=fault):
        read_coordinates(path)
    with pytest.raises(UsageError, match="No such file"):
        read_coordinates(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0.4", 0.4),
        ("0.4s", 0.4),
        ("400ms", 0.4),
        ("400 ms", 0.4),
        (1, 1.0),
        ("5m", 300.0),
        ("1h", 3600.0),
    ],
)
def test_durations(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "fast", "-1", "1 day", "1e999", "nan", "1.2.3s", "ms"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected seconds, as in"):
        parse_duration(text)


def test_rates() -> None:
    assert [parse_rate(text) for text in ("10", "10Hz", "2.5 hz", 30)] == [10.0, 10.0, 2.5, 30.0]
    for text in ("", "10 kHz", "-5", "Hz"):
        with pytest.raises(ValueError, match="expected a rate, as in"):
            parse_rate(text)
