"""Lengths of time as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from consumer.durations import format_seconds, parse_seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200ms", 0.2), ("0.4s", 0.4), (".5", 0.5), ("90", 90.0), ("2 m", 120.0), ("1h", 3600.0),
        ("1:30", 90.0), ("01:02:03.5", 3723.5), (1.5, 1.5), (3, 3.0),
    ],
)  # fmt: skip
def test_lengths_of_time(text: str | float, expected: float) -> None:
    assert parse_seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "s", "-1", "1:70", "1:2", "1d", "nan", "1e3", None, True, 1e999]
)
def test_what_is_no_length_of_time(text: Any) -> None:
    with pytest.raises(ValueError, match="expected a time such as 200ms"):
        parse_seconds(text)


def test_lengths_of_time_for_people() -> None:
    assert [format_seconds(s) for s in (0.0, 4.25, 59.9, 90.7, 3723.0)] == [
        "0.0 s", "4.2 s", "59.9 s", "1:30", "1:02:03"
    ]  # fmt: skip
