"""Label names of every data set mean one class."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.affect import COORDINATES
from contract.errors import UsageError
from tests.lookalikes import nfd
from trainer.data.ferplus import CLASSES
from trainer.data.labels import read_label_map


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("기쁨", "happiness"),
        (nfd("기쁨"), "happiness"),
        (" Happy ", "happiness"),
        ("SAD", "sadness"),
        ("알수없음", "unsure"),
        ("알_수_없음", "unsure"),
        ("불안", "anxious"),
        ("당황", "embarrassed"),
        ("angry", "anger"),
        ("bored", None),
    ],
)
def test_names_in_korean_and_english_mean_a_class(name: str, label: str | None) -> None:
    assert read_label_map().get(name) == label


def test_classes_of_ferplus_and_those_the_music_knows_are_all_in_the_map() -> None:
    labels = read_label_map()
    assert [labels.get(name) for name in CLASSES] == list(CLASSES)
    # Every class that a reader gives has a place in the plane, or music would take it for neutral.
    assert set(labels.order) == {labels.get(name) for name in COORDINATES} == set(COORDINATES)
    assert set(labels.names.values()) <= {*labels.order, "unsure"}
    assert labels.sorted({"zeal", "fear", "neutral", "awe"}) == ("neutral", "fear", "awe", "zeal")


def test_a_user_adds_names_and_overrides_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('order = ["bored"]\n[names]\n"심심" = "bored"\nfrown = "anger"\nhurt = ""\n')
    labels = read_label_map(path)
    assert [labels.get(name) for name in ("심심", "frown", "hurt", "기쁨")] == [
        "bored", "anger", "", "happiness",
    ]  # fmt: skip
    assert labels.sorted({"neutral", "bored"}) == ("bored", "neutral")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[names", "cannot read the label map"),
        ('names = "x"', "expected lines like"),
        ('[names]\nx = "two words"', "x = 'two words': expected 1-128 printable"),
        ("[names]\nx = 3", "x = 3"),
        ('order = "x"', "expected a list"),
        ("[nmaes]", "expected order and .names., got 'nmaes'"),
    ],
)
def test_a_malformed_map_is_refused_by_name(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UsageError, match=rf"mine\.toml: .*{fault}"):
        read_label_map(tmp_path / "mine.toml")
