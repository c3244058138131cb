"""Splits: no person in two of them, the same each time, and every class in each."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.pack import SPLITS, Split
from trainer.prepare.splits import Member, assign, shared_persons

LABELS = ("calm", "glad", "sad")


def member(
    number: int, person: str | None = None, split: Split | None = None, label: str = "calm"
) -> Member:
    return Member(f"{number}.jpg", label, person, split, number.to_bytes(8, "big"))


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(LABELS)), min_size=3, max_size=200))
def test_no_person_is_in_two_splits(drawn: list[tuple[int, str]]) -> None:
    members = [member(i, f"p{who}", label=label) for i, (who, label) in enumerate(drawn)]
    found = assign(members)
    assert found.how == "by person"
    assert shared_persons(members, found.splits) == 0
    assert "train" in found.splits
    assert found == assign(members)


def test_the_order_of_the_files_does_not_matter() -> None:
    members = [member(i, f"p{i % 40}", label=LABELS[i % 3]) for i in range(400)]
    forwards = dict(zip([m.id for m in members], assign(members).splits, strict=True))
    backwards = members[::-1]
    assert forwards == dict(zip([m.id for m in backwards], assign(backwards).splits, strict=True))


def test_shares_are_a_tenth_each_and_every_class_is_in_each() -> None:
    many = [member(i, f"p{i // 5}", label="calm" if i % 50 else "sad") for i in range(5000)]
    splits = assign(many).splits
    counts = Counter(splits)
    assert counts["test"] == pytest.approx(500, rel=0.1)
    assert counts["valid"] == pytest.approx(500, rel=0.1)
    seen = {(m.label, split) for m, split in zip(many, splits, strict=True)}
    assert seen == {(label, split) for label in ("calm", "sad") for split in SPLITS}


def test_three_persons_give_one_to_each_split() -> None:
    members = [member(i, f"p{i % 3}") for i in range(30)]
    assert Counter(assign(members).splits) == {"train": 10, "valid": 10, "test": 10}


def test_four_persons_of_different_labels_are_still_divided() -> None:
    members = [member(i, f"p{i % 4}", label=f"label {i % 4}") for i in range(40)]
    assert Counter(assign(members).splits) == {"train": 20, "valid": 10, "test": 10}


def test_one_busy_person_does_not_swallow_the_test_split() -> None:
    members = [member(i, "busy" if i < 400 else f"p{i}") for i in range(1000)]
    counts = Counter(assign(members).splits)
    assert counts["test"] == pytest.approx(100, abs=30)


def test_without_persons_files_are_drawn_and_the_same_pixels_stay_together() -> None:
    members = [
        Member(f"{i}.jpg", LABELS[i % 3], None, None, (i // 4).to_bytes(8, "big"))
        for i in range(1200)
    ]
    found = assign(members)
    assert found.how == "by image"
    for start in range(0, 1200, 4):
        assert len(set(found.splits[start : start + 4])) == 1
    assert Counter(found.splits)["test"] == pytest.approx(120, rel=0.15)


def test_the_data_sets_own_splits_are_kept() -> None:
    members = [member(i, f"p{i}", SPLITS[i % 3]) for i in range(30)]  # type: ignore[arg-type]
    found = assign(members)
    assert found.splits == tuple(SPLITS[i % 3] for i in range(30))
    assert found.how == "the data set's own"


def test_what_the_data_set_does_not_split_is_drawn_from_its_training_part() -> None:
    members = [member(i, f"p{i // 4}", "valid" if i < 40 else "train") for i in range(400)]
    found = assign(members)
    assert found.how == "the data set's own train and valid; the rest by person"
    assert set(found.splits[:40]) == {"valid"}
    assert Counter(found.splits[40:]) == {"train": 324, "test": 36}
    assert shared_persons(members, found.splits) == 0


def test_parts_that_share_persons_are_drawn_anew() -> None:
    members = [member(i, f"p{i % 20}", "test" if i < 50 else "train") for i in range(200)]
    found = assign(members)
    assert found.how == "by person: the data set's own parts share 20 persons"
    assert shared_persons(members, found.splits) == 0


def test_a_data_set_that_is_all_test_is_drawn_anew() -> None:
    found = assign([member(i, split="test") for i in range(100)])
    assert Counter(found.splits) == {"train": 80, "valid": 10, "test": 10}
    assert "names no part to train on" in found.how


def test_by_person_overrides_the_data_sets_own() -> None:
    members = [member(i, f"p{i // 10}", "train") for i in range(100)]
    assert Counter(assign(members, "person").splits) == {"train": 80, "valid": 10, "test": 10}


def test_by_image_mixes_persons_and_says_that_it_leaks() -> None:
    members = [member(i, f"p{i % 10}") for i in range(1000)]
    found = assign(members, "image")
    assert shared_persons(members, found.splits) == 10
    assert "the same person is in training and in test" in found.how
