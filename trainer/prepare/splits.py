"""Which crops are trained on, which measured on: decided once, and written into the pack."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from trainer.pack import Split

SHARES: Mapping[Split, float] = {"test": 0.1, "valid": 0.1}
_NAMES: tuple[Split, ...] = ("train", "valid", "test")
_LEAST_A_STRATUM = 3
By = Literal["auto", "person", "image"]


@dataclass(frozen=True, slots=True)
class Member:
    """One crop, as far as its split goes.

    id       its name
    label    the agreed one, "" for none
    person   whose face it is, None if unknown
    split    the part the data set puts it in
    same     equal for crops that are the same pixels
    """

    id: str
    label: str
    person: str | None
    split: Split | None
    same: bytes


@dataclass(frozen=True, slots=True)
class Splits:
    """splits: one for each member; how: in words, for people."""

    splits: tuple[Split, ...]
    how: str


def assign(members: Sequence[Member], by: By = "auto") -> Splits:
    """Put every member in a split: the same members always in the same ones.

    by    "auto": what the data set says where it says so and no person is in two parts, and where
          it doesn't, by person, or by image where it names no persons; "person": by person,
          whatever the data set says; "image": by image, whatever is known of persons
    """
    if by == "image":
        return Splits(_drawn(members, _NAMES, by_person=False), "by image: " + LEAK)
    named = any(member.person is not None for member in members)
    unit = "person" if named else "image"
    given = {member.split for member in members} - {None}
    if by == "person" or not given:
        return Splits(_drawn(members, _NAMES, by_person=True), f"by {unit}")
    if crossing := _in_two(members):
        return Splits(
            _drawn(members, _NAMES, by_person=True),
            f"by person: the data set's own parts share {crossing:,} persons",
        )
    missing = [name for name in _NAMES if name not in given]
    if not missing and None not in {member.split for member in members}:
        return Splits(tuple(member.split or "train" for member in members), "the data set's own")
    rest = [i for i, member in enumerate(members) if member.split in (None, "train")]
    if not rest:
        return Splits(
            _drawn(members, _NAMES, by_person=True),
            f"by {unit}: the data set names no part to train on",
        )
    drawn = _drawn([members[i] for i in rest], missing, by_person=True)
    splits: list[Split] = [member.split or "train" for member in members]
    for i, split in zip(rest, drawn, strict=True):
        splits[i] = split
    return Splits(
        tuple(splits),
        f"the data set's own {' and '.join(sorted(filter(None, given)))}; the rest by {unit}",
    )


LEAK = (
    "the same person is in training and in test, so that test results are too good; "
    "use it only to see by how much"
)


def shared_persons(members: Sequence[Member], splits: Sequence[Split]) -> int:
    """How many persons are in more than one split."""
    where = defaultdict(set)
    for member, split in zip(members, splits, strict=True):
        if member.person is not None:
            where[member.person].add(split)
    return sum(len(parts) > 1 for parts in where.values())


def _in_two(members: Sequence[Member]) -> int:
    known = [member for member in members if member.split is not None]
    return shared_persons(known, [member.split or "train" for member in known])


def _drawn(
    members: Sequence[Member], names: Sequence[Split], *, by_person: bool
) -> tuple[Split, ...]:
    """Draw test and validation in whole groups: a person's crops, or those of the same pixels."""
    group_of = [
        f"person {member.person}"
        if by_person and member.person is not None
        else f"same {member.same.hex()}"
        for member in members
    ]
    sizes = Counter(group_of)
    # A person counts as the rarest label they show: test and validation shall have some of each.
    often = Counter(member.label for member in members)
    labels: dict[str, str] = {}
    for member, group in zip(members, group_of, strict=True):
        rarest = labels.get(group, member.label)
        labels[group] = min(rarest, member.label, key=lambda label: (often[label], label))
    strata = defaultdict(list)
    for group in sorted(sizes, key=_place):
        strata[labels[group]].append(group)
    # One of each split needs three; what is rarer is drawn together.
    few = [label for label, groups in strata.items() if len(groups) < _LEAST_A_STRATUM]
    rest = [group for label in few for group in strata.pop(label)]
    chosen: dict[str, Split] = {}
    for groups in (*strata.values(), sorted(rest, key=_place)):
        _draw_stratum(groups, sizes, names, chosen)
    return tuple(chosen.get(group, "train") for group in group_of)


def _draw_stratum(
    groups: Sequence[str],
    sizes: Mapping[str, int],
    names: Sequence[Split],
    chosen: dict[str, Split],
) -> None:
    """Give test and validation their share, and never a last group that training needs."""
    total = sum(sizes[group] for group in groups)
    waiting = list(groups)
    for name, share in SHARES.items():
        if name not in names:
            continue
        taken = 0
        while len(waiting) > 1 and taken < share * total:
            group = waiting.pop()
            # The group that overshoots by more than it fills is left to training: one person of
            # muxspace has 520 photos.
            if taken and taken + sizes[group] / 2 > share * total:
                waiting.insert(0, group)
                break
            taken += sizes[group]
            chosen[group] = name


def _place(group: str) -> bytes:
    """A place in line that has nothing to do with the order of the files."""
    return hashlib.sha256(group.encode()).digest()
