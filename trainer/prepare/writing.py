"""Crops and records become the pack and its audit."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from contract.errors import PackError, UsageError
from trainer.data.record import Reading, Record
from trainer.pack import NO_MAJORITY, Pack
from trainer.pack_format import Gray, decoded
from trainer.pack_writer import PackWriter
from trainer.prepare.audit import NONE_AGREED, Audit, Packed, audit
from trainer.prepare.classes import agreed_label, labels_of, reasons, refuse_empty
from trainer.prepare.cropping import Cropped, Refused
from trainer.prepare.journal import Journal
from trainer.prepare.options import Preparation, Stopped, Watch
from trainer.prepare.sheet import sheet
from trainer.prepare.splits import LEAK, Member, assign
from worker.faces.crop import CROP_RULE

_PACKAGES = ("emotion-stream", "numpy", "opencv-python-headless", "pillow")
_ROWS_A_REPORT = 256


@dataclass(frozen=True, slots=True)
class Prepared:
    """A pack, its audit, what a user should know of it, and where the audit was written."""

    pack: Pack
    audit: Audit
    warnings: tuple[str, ...]
    sheet_path: Path


def write(
    what: Preparation,
    reading: Reading,
    journal: Journal,
    watch: Watch,
    *,
    faces: str,
    side_px: int,
) -> Prepared:
    """Write `what.out` and the audit beside it; every record has its outcome in the journal.

    Raises `UsageError` when the crops are no data to train from, `PackError` when the disk is full.
    """
    rows, refused = _gathered(reading, journal)
    if not rows:
        journal.remove()
        raise UsageError(f"{what.data}: no image can be used: {reasons(reading, refused)}")
    labels = labels_of(what, reading.records)
    agreed = [agreed_label(record, labels) for record, _, _ in rows]
    refuse_empty(what, labels, agreed, reading, refused)
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
        **({} if faces == "whole" else {"crop": asdict(CROP_RULE)}),
        "side_px": side_px,
        "split by": splits.how,
        "options": _options(what),
        "versions": _versions(),
    }
    with PackWriter(what.out, labels, side_px, name=what.out.stem, made=about) as writer:
        _fill(writer, packed, labels, journal, watch)
        found = audit(reading, packed, refused, labels, about | {"fingerprint": writer.fingerprint})
        warnings = _warnings(what, found.facts)
        page = sheet(
            found,
            warnings,
            _rows_of(packed, labels),
            lambda number: _image(journal, packed[number]),
        )
        texts = {
            what.out.with_suffix(".audit.json"): _json({**found.facts, "warnings": warnings}),
            what.out.with_suffix(".audit.html"): page,
        }
        with _all_or_nothing(texts):
            pack = writer.finish()
    return Prepared(pack, found, tuple(warnings), what.out.with_suffix(".audit.html"))


def _gathered(
    reading: Reading, journal: Journal
) -> tuple[list[tuple[Record, Cropped, bytes]], list[Refused]]:
    """The crops, without their data but with a digest of it, and the images without one."""
    rows, refused = [], []
    for record in reading.records:
        outcome = journal.get(record.id)
        if isinstance(outcome, Refused):
            refused.append(outcome)
        else:
            same = hashlib.blake2b(outcome.data, digest_size=8).digest()
            # The same name twice would be 250 bytes, half a million times.
            rows.append((record, replace(outcome, id=record.id, data=b""), same))
    return rows, refused


def _fill(
    writer: PackWriter,
    packed: Sequence[Packed],
    labels: Sequence[str],
    journal: Journal,
    watch: Watch,
) -> None:
    for number, row in enumerate(packed):
        if number % _ROWS_A_REPORT == 0:
            watch.report(number, len(packed), "packing")
            if watch.stop.is_set():
                raise Stopped("stopped before the pack was whole; the same command goes on")
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


def _rows_of(packed: Sequence[Packed], labels: Sequence[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {label: [] for label in (*labels, NONE_AGREED)}
    for number, row in enumerate(packed):
        rows[row.label or NONE_AGREED].append(number)
    return rows


@contextmanager
def _all_or_nothing(texts: Mapping[Path, str]) -> Iterator[None]:
    """Write each text beside its path, and put them in place when the block succeeds."""
    parts = {path: path.with_name(f".{path.name}.{os.getpid()}.part") for path in texts}
    try:
        for path, text in texts.items():
            parts[path].write_text(text, "utf-8")
        yield
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        raise PackError(f"{path}: cannot write the audit: {error.strerror}") from error
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def _json(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, indent=2, ensure_ascii=False) + "\n"


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
        warnings.append(f"persons in more than one split: {persons:,}")
    twins = facts["duplicates"]["crops with a twin in another split"]
    if any(twins.values()):
        each = ", ".join(f"{name} {count:,}" for name, count in twins.items())
        warnings.append(f"crops with a twin in another split: {each}")
    return warnings


def _crop_of(journal: Journal, row: Packed) -> Cropped:
    outcome = journal.get(row.record.id)
    assert isinstance(outcome, Cropped)  # it was when the rows were chosen
    return outcome


def _image(journal: Journal, row: Packed) -> Gray:
    image = decoded(_crop_of(journal, row).data)
    assert image is not None
    return image


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
