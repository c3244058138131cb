"""What `prepare` found: counts of everything, as plain data for JSON and for the sheet."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trainer.data.record import MAX_EXAMPLES, Reading, Record
from trainer.pack import SPLITS, Split
from trainer.prepare.cropping import Cropped, Refused
from trainer.prepare.duplicates import grouped, near_duplicates

NONE_AGREED = "(none agreed)"
_LISTED_PAIRS = 200
_IOU_STEPS = (0.5, 0.7)


@dataclass(frozen=True, slots=True)
class Packed:
    """One row of the pack, as far as the audit goes.

    crop    without its data: of half a million those take gigabytes
    same    equal for crops that are the same pixels
    label   the agreed one, "" for none
    """

    record: Record
    crop: Cropped
    same: bytes
    label: str
    split: Split


@dataclass(frozen=True, slots=True)
class Pair:
    """Two crops that are nearly alike, in rows of the pack."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Audit:
    """facts: plain data, ready for JSON; across: two of each group of duplicates that is in several
    splits, for the sheet.
    """

    facts: Mapping[str, Any]
    across: Sequence[Pair] = field(default_factory=tuple)


def audit(
    reading: Reading,
    packed: Sequence[Packed],
    refused: Sequence[Refused],
    labels: Sequence[str],
    about: Mapping[str, Any],
) -> Audit:
    """Everything worth knowing about rows of a pack and what did not become one."""
    rejected = Counter(reading.unmatched)
    examples = {reason: list(names) for reason, names in reading.examples.items()}
    for refusal in refused:
        rejected[refusal.reason] += 1
        names = examples.setdefault(refusal.reason, [])
        if len(names) < MAX_EXAMPLES:
            names.append(refusal.id)
    duplicates, across = _duplicates(packed)
    facts = {
        **about,
        "images": {
            "found": reading.found,
            "with labels": len(packed) + len(refused),
            "in the pack": len(packed),
            "with an agreed label": sum(bool(row.label) for row in packed),
            "rotated by EXIF": sum(row.crop.rotated for row in packed)
            + sum(refusal.rotated for refusal in refused),
        },
        "rejected": {
            reason: {"count": count, "examples": [name for name in examples[reason] if name]}
            for reason, count in rejected.most_common()
        },
        "names kept as classes": sorted(reading.kept_names),
        "detection": _detection(packed, refused),
        "agreement": _agreement(packed),
        "classes": _classes(packed, labels),
        "splits": {name: sum(row.split == name for row in packed) for name in SPLITS},
        "persons": _persons(packed),
        "people": {title: dict(groups.most_common()) for title, groups in reading.about.items()},
        "duplicates": duplicates,
    }
    return Audit({key: value for key, value in facts.items() if value != {}}, across)


def _detection(packed: Sequence[Packed], refused: Sequence[Refused]) -> dict[str, Any]:
    found = [row.crop for row in packed if row.crop.faces]
    missed = sum(refusal.reason.startswith("no face found") for refusal in refused)
    small = sum(refusal.reason.startswith("a face smaller") for refusal in refused)
    if not found and not missed:
        return {}
    looked = len(found) + missed + small
    facts: dict[str, Any] = {
        "photos": looked,
        "a face found": len(found) + small,
        "rate": _share(len(found) + small, looked),
        "several faces": sum(crop.faces > 1 for crop in found),
        "mean confidence": round(float(np.mean([c.confidence for c in found])), 4)
        if found
        else None,
    }
    if ious := [crop.iou for crop in found if crop.iou is not None]:
        values = np.array(ious)
        facts["IoU with the annotated box"] = {
            "boxes": len(ious),
            "mean": round(float(values.mean()), 4),
            "median": round(float(np.median(values)), 4),
            "5th percentile": round(float(np.percentile(values, 5)), 4),
            **{
                f"at least {step}": _share(int((values >= step).sum()), len(ious))
                for step in _IOU_STEPS
            },
        }
    return facts


def _agreement(packed: Sequence[Packed]) -> dict[str, Any]:
    """How far voters agree with each other, and the uploader's label with their majority."""
    facts: dict[str, Any] = {}
    several = [row for row in packed if _voters(row.record) > 1]
    if several:
        pairs = [_agreeing(row.record) for row in several]
        facts["voters"] = {
            "images": len(several),
            "all agree": _share(sum(same == 1 for same in pairs), len(several)),
            "a majority": _share(sum(bool(row.label) for row in several), len(several)),
            "two drawn at random agree": round(float(np.mean(pairs)), 4),
        }
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for row in packed:
        if row.record.uploader and row.label:
            told[row.record.uploader][row.label] += 1
    if told:
        facts["uploader's label is the annotators' majority"] = {
            label: {"images": sum(seen.values()), "share": _share(seen[label], sum(seen.values()))}
            for label, seen in sorted(told.items())
        }
    return facts


def _voters(record: Record) -> float:
    return sum(count for _, count in record.votes) + record.unsure


def _agreeing(record: Record) -> float:
    """The chance that two voters of one image said the same; the unsure ones count as one class."""
    counts = [*(count for _, count in record.votes), record.unsure]
    total = sum(counts)
    return sum(count * (count - 1) for count in counts) / (total * (total - 1))


def _classes(packed: Sequence[Packed], labels: Sequence[str]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {
        label: dict.fromkeys(SPLITS, 0) for label in (*labels, NONE_AGREED)
    }
    for row in packed:
        table[row.label or NONE_AGREED][row.split] += 1
    if not any(table[NONE_AGREED].values()):
        del table[NONE_AGREED]
    return table


def _persons(packed: Sequence[Packed]) -> dict[str, Any]:
    where: dict[str, set[Split]] = defaultdict(set)
    images: Counter[str] = Counter()
    for row in packed:
        if row.record.person is not None:
            where[row.record.person].add(row.split)
            images[row.record.person] += 1
    if not where:
        return {}
    return {
        "named": len(where),
        "images of none": sum(row.record.person is None for row in packed),
        "most images of one": max(images.values()),
        "in more than one split": sum(len(splits) > 1 for splits in where.values()),
        "per split": {name: sum(name in splits for splits in where.values()) for name in SPLITS},
    }


def _duplicates(packed: Sequence[Packed]) -> tuple[dict[str, Any], list[Pair]]:
    pairs = near_duplicates([row.crop.coarse for row in packed], [row.crop.fine for row in packed])
    groups = grouped(pairs)
    across: list[Pair] = []
    conflicts = copies = 0
    twins: dict[str, int] = dict.fromkeys(SPLITS, 0)
    for group in groups:
        copies += len(group) - len({packed[row].same for row in group})
        conflicts += len({packed[row].label for row in group} - {""}) > 1
        splits = [packed[row].split for row in group]
        if len(set(splits)) > 1:
            other = next(i for i, split in enumerate(splits) if split != splits[0])
            across.append(Pair(group[0], group[other]))
            for split in splits:
                twins[split] += 1
    facts = {
        "groups of crops nearly alike": len(groups),
        "crops in them": sum(map(len, groups)),
        "copies with the same pixels": copies,
        "groups with different labels": conflicts,
        "groups across splits": len(across),
        "crops with a twin in another split": twins,
        "examples": [
            [packed[pair.first].record.id, packed[pair.second].record.id]
            for pair in across[:_LISTED_PAIRS]
        ],
    }
    return facts, across


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
