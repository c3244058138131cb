"""The whole of `prepare`: read, crop, split, pack, audit."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from contract.artifact import check_labels
from contract.errors import PackError, UsageError
from trainer.data.find import Format, read_data
from trainer.data.labels import read_label_map
from trainer.data.record import Reading, Record
from trainer.pack import NO_MAJORITY, Pack
from trainer.pack_format import Gray, decoded
from trainer.pack_writer import PackWriter, majority
from trainer.prepare import faces as face_finding
from trainer.prepare.audit import NONE_AGREED, Audit, Packed, audit
from trainer.prepare.cropping import Cropped, Cropper, Refused
from trainer.prepare.journal import Journal
from trainer.prepare.sheet import sheet
from trainer.prepare.splits import LEAK, By, Member, assign

_PACKAGES = ("emotion-stream", "numpy", "opencv-python-headless", "pillow")
_JOURNAL_FORMAT = 1
_LEAST_A_CLASS = 3  # of a --limit, so that no class is lost by it


class Stopped(Exception):
    """The user stopped it; what is done is kept. `done` of `total` images."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__(f"stopped at {done:,} of {total:,} images; the same command goes on")


@dataclass(frozen=True, slots=True)
class Preparation:
    """What to prepare and how.

    data, out   the data set and the pack to write
    format      which reader
    faces       how the face in each image is found
    split       what decides the split
    labels      the classes in the pack's order; empty: those of the data
    label_map   a file with more label names
    limit       use about this many images only
    threads     that decode
    force       replace the pack, and drop what another run has left
    """

    data: Path
    out: Path
    format: Format = "auto"
    faces: face_finding.Wanted = "auto"
    split: By = "auto"
    labels: tuple[str, ...] = ()
    label_map: Path | None = None
    limit: int | None = None
    threads: int = 2
    force: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pack, its audit, what a user should know of it, and where the audit was written."""

    pack: Pack
    audit: Audit
    warnings: tuple[str, ...]
    sheet_path: Path


Report = Callable[[int, int], None]  # images done, of how many


def read(what: Preparation) -> Reading:
    """What there is to prepare. Raises `UsageError` when it cannot be used."""
    if what.out.is_dir():
        raise UsageError(f"--out {what.out}: expected a file to write, got a folder")
    if what.out.exists() and not what.force:
        raise UsageError(f"--out {what.out}: exists; --force replaces it")
    reading = read_data(what.data, read_label_map(what.label_map), what.format)
    if what.labels:
        _keep_labels(reading, what)
    if what.limit is not None:
        reading.records = limited(reading.records, what.limit)
    return reading


def prepare(what: Preparation, reading: Reading, *, stop: Event, report: Report) -> Prepared:
    """Make the pack of `reading`. Raises `UsageError` for what cannot be used, `Stopped` when told
    to stop.

    Nothing is written under the pack's name before it is whole.
    """
    faces, side_px = face_finding.decide(reading, what.faces)
    about = {
        "format": _JOURNAL_FORMAT,
        "data": str(what.data.resolve()),
        "changed_ns": what.data.stat().st_mtime_ns if what.data.is_file() else 0,
        "faces": faces,
        "side_px": side_px,
    }
    path = what.out.with_name(f"{what.out.name}.progress")
    with Journal(path, about, force=what.force) as journal:
        todo = [record for record in reading.records if record.id not in journal]
        done, total = len(reading.records) - len(todo), len(reading.records)
        report(done, total)
        if todo:
            detector = None if faces == "whole" else face_finding.open_detector()
            exact = reading.side_px is not None
            cropper = Cropper(faces, side_px, exact=exact, detector=detector)
            for outcomes in cropper.outcomes(todo, threads=what.threads, stop=stop):
                journal.add(outcomes)
                done += len(outcomes)
                report(done, total)
            if done < total:
                raise Stopped(done, total)
        prepared = _pack(what, reading, journal, faces, side_px)
        journal.remove()
    return prepared


def limited(records: Sequence[Record], limit: int) -> list[Record]:
    """About `limit` records, evenly spread over each label, and a few of even the rarest one."""
    of: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        of[record.truth or _most_voted(record)].append(record)
    chosen: set[str] = set()
    for mine in of.values():
        count = max(min(_LEAST_A_CLASS, len(mine)), round(limit * len(mine) / len(records)))
        places = np.linspace(0, len(mine) - 1, min(count, len(mine))).round().astype(int)
        chosen.update(mine[place].id for place in places.tolist())
    return [record for record in records if record.id in chosen]


def _most_voted(record: Record) -> str:
    return max(record.votes, key=lambda vote: vote[1])[0]


def _keep_labels(reading: Reading, what: Preparation) -> None:
    """Votes for what is not in `what.labels` become unsure ones; who has no other goes."""
    kept = []
    for record in reading.records:
        votes = tuple((label, count) for label, count in record.votes if label in what.labels)
        if not votes:
            reading.reject("its label is not in --labels", record.id)
            continue
        other = sum(count for _, count in record.votes) - sum(count for _, count in votes)
        truth = record.truth if record.truth in (None, *what.labels) else ""
        kept.append(replace(record, votes=votes, unsure=record.unsure + other, truth=truth))
    reading.records = kept


def _pack(
    what: Preparation, reading: Reading, journal: Journal, faces: str, side_px: int
) -> Prepared:
    rows: list[tuple[Record, Cropped, bytes]] = []
    refused: list[Refused] = []
    for record in reading.records:
        outcome = journal.get(record.id)
        if isinstance(outcome, Refused):
            refused.append(outcome)
        else:
            same = hashlib.blake2b(outcome.data, digest_size=8).digest()
            rows.append((record, replace(outcome, data=b""), same))
    if not rows:
        journal.remove()
        raise UsageError(f"{what.data}: no image can be used: {_reasons(reading, refused)}")
    labels = _labels(what, reading.records)
    agreed = [_agreed(record, labels) for record, _, _ in rows]
    _refuse_empty_classes(what, labels, agreed, reading, refused)
    members = [
        Member(record.id, label, record.person, record.split, same)
        for (record, _, same), label in zip(rows, agreed, strict=True)
    ]
    splits = assign(members, what.split)
    packed = [
        Packed(record, crop, same, label, split)
        for (record, crop, same), label, split in zip(rows, agreed, splits.splits, strict=True)
    ]
    about = {
        "name": what.out.stem,
        "data": what.data.name or str(what.data),
        "reader": reading.reader,
        "faces": faces,
        "side_px": side_px,
        "split by": splits.how,
        "options": _options(what),
        "versions": _versions(),
    }
    with PackWriter(what.out, labels, side_px, name=what.out.stem, made=about) as writer:
        for row in packed:
            votes = dict(row.record.votes)
            writer.add(
                _crop_of(journal, row).data,
                [votes.get(label, 0.0) for label in labels],
                row.split,
                row.record.person,
                row.record.id,
                unsure=row.record.unsure,
                truth=labels.index(row.label) if row.label else NO_MAJORITY,
            )
        found = audit(reading, packed, refused, labels, about | {"fingerprint": writer.fingerprint})
        warnings = _warnings(what, found.facts)
        shown: dict[str, list[int]] = {label: [] for label in (*labels, NONE_AGREED)}
        for number, row in enumerate(packed):
            shown[row.label or NONE_AGREED].append(number)
        page = sheet(found, warnings, shown, lambda number: _image(journal, packed[number]))
        json_path = what.out.with_suffix(".audit.json")
        sheet_path = what.out.with_suffix(".audit.html")
        facts = {**found.facts, "warnings": warnings}
        parts = [
            _part(json_path, json.dumps(facts, indent=2, ensure_ascii=False) + "\n"),
            _part(sheet_path, page),
        ]
        pack = writer.finish()
        for part, path in zip(parts, (json_path, sheet_path), strict=True):
            part.replace(path)
    return Prepared(pack, found, tuple(warnings), sheet_path)


def _labels(what: Preparation, records: Sequence[Record]) -> tuple[str, ...]:
    seen = {label for record in records for label, _ in record.votes}
    labels = what.labels or read_label_map(what.label_map).sorted(seen)
    if len(labels) < 2:
        raise UsageError(f"{what.data}: expected at least 2 classes, found only {labels[0]}")
    try:
        return check_labels(labels)
    except ValueError as error:
        raise UsageError(f"{what.data}: {error}") from error


def _agreed(record: Record, labels: Sequence[str]) -> str:
    if record.truth is not None:
        return record.truth
    votes = dict(record.votes)
    row = np.array([[votes.get(label, 0.0) for label in labels]], np.float32)
    best = int(majority(row, np.array([record.unsure], np.float32))[0])
    return "" if best == NO_MAJORITY else labels[best]


def _refuse_empty_classes(
    what: Preparation,
    labels: Sequence[str],
    agreed: Sequence[str],
    reading: Reading,
    refused: Sequence[Refused],
) -> None:
    usable = set(agreed)
    empty = [label for label in labels if label not in usable]
    if empty:
        others = [label for label in labels if label in usable]
        hint = f"; --labels {','.join(others)} leaves it out" if len(others) > 1 else ""
        raise UsageError(
            f"{what.data}: no image of {', '.join(empty)} can be used "
            f"({_reasons(reading, refused)}){hint}"
        )


def _reasons(reading: Reading, refused: Sequence[Refused]) -> str:
    reasons = reading.unmatched + Counter(refusal.reason for refusal in refused)
    return ", ".join(f"{why}: {count:,}" for why, count in reasons.most_common(3)) or "none agreed"


def _warnings(what: Preparation, facts: Mapping[str, Any]) -> list[str]:
    """What a user should know before training, a sentence each."""
    warnings = []
    if what.split == "image":
        warnings.append(f"split by image: {LEAK}")
    for name, count in facts["splits"].items():
        if not count:
            warnings.append(f"the split {name} is empty")
    for label, counts in facts["classes"].items():
        missing = [name for name in counts if not counts[name] and facts["splits"][name]]
        if missing and label != NONE_AGREED:
            warnings.append(f"{label} has no image in {' and '.join(missing)}")
    persons = facts.get("persons", {}).get("in more than one split", 0)
    if persons and what.split != "image":
        warnings.append(f"{persons:,} persons are in more than one split")
    if across := facts["duplicates"]["across splits"]:
        warnings.append(f"{across:,} pairs of nearly the same crop are in different splits")
    return warnings


def _crop_of(journal: Journal, row: Packed) -> Cropped:
    outcome = journal.get(row.record.id)
    assert isinstance(outcome, Cropped)  # it was when the rows were chosen
    return outcome


def _image(journal: Journal, row: Packed) -> Gray:
    image = decoded(_crop_of(journal, row).data)
    assert image is not None
    return image


def _part(path: Path, text: str) -> Path:
    """`text` beside `path`, so that only a rename is left to do."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, "utf-8")
    except OSError as error:
        part.unlink(missing_ok=True)
        raise PackError(f"{path}: cannot write the audit: {error.strerror}") from error
    return part


def _options(what: Preparation) -> dict[str, Any]:
    return {
        "format": what.format,
        "faces": what.faces,
        "split": what.split,
        "labels": list(what.labels),
        "label_map": None if what.label_map is None else what.label_map.name,
        "limit": what.limit,
    }


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "unknown"
    return versions
