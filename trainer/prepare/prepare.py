"""The whole of `prepare`: read, crop, split, pack, audit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from contract.errors import UsageError
from trainer.data.find import read_data
from trainer.data.labels import read_label_map
from trainer.data.record import Reading, Record
from trainer.prepare import faces as face_finding
from trainer.prepare.cropping import Cropper
from trainer.prepare.journal import Journal
from trainer.prepare.options import Preparation, Stopped, Watch
from trainer.prepare.writing import Prepared, write

_JOURNAL_FORMAT = 1
_LEAST_A_CLASS = 3  # of a --limit, so that no class is lost by it


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


def prepare(what: Preparation, reading: Reading, watch: Watch) -> Prepared:
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
        watch.report(done, total)
        if todo:
            detector = None if faces == "whole" else face_finding.open_detector()
            exact = reading.side_px is not None
            cropper = Cropper(faces, side_px, exact=exact, detector=detector)
            for outcomes in cropper.outcomes(todo, threads=what.threads, stop=watch.stop):
                journal.add(outcomes)
                done += len(outcomes)
                watch.report(done, total)
            if done < total:
                raise Stopped(f"stopped at {done:,} of {total:,} images; the same command goes on")
        prepared = write(what, reading, journal, watch, faces=faces, side_px=side_px)
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
