"""AI Hub's 한국인 감정인식을 위한 복합 영상: photos with the labels of their uploader and of three
annotators.

https://aihub.or.kr/aihubdata/data/view.do?dataSetSn=82 - photos may not be passed on. Labels lie in
JSON lists, photos in other zips; the two meet by the photo's name.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from contract.errors import UsageError
from trainer.data.files import DataSet, File, composed, text_of
from trainer.data.labels import LEFT_OUT, UNSURE, LabelMap
from trainer.data.record import MAX_TABLE_BYTES, BoxEdges, Reading, Record, Unreadable, Votes
from trainer.pack import Split

_ANNOTATORS = ("A", "B", "C")
_KEYS = ("annot_", "faceBB_")  # exports differ in what they call an annotator's part
_EDGES = ("minX", "minY", "maxX", "maxY")
_MARKS = ("emoimg_", "img_emotion_")


def is_aihub(data: DataSet) -> bool:
    """Whether the names are those of AI Hub's zips or label files."""
    return any(mark in file.name.casefold() for file in data.files for mark in _MARKS)


def read_aihub(data: DataSet, labels: LabelMap) -> Reading:
    """Every photo with a row. Raises `UsageError` when there are no labels at all."""
    reading = Reading("aihub", faces="find")
    images: dict[str, File] = {}
    for file in data.images():
        reading.found += 1
        if images.setdefault(_key(file.base), file) is not file:
            reading.reject("the same photo twice", file.name)
    tables = [file for file in data.files if file.suffix == ".json"]
    if not tables:
        raise UsageError(f"{data.path}: expected AI Hub's label files (*.json), found none")
    seen: set[str] = set()
    shared: dict[Votes, Votes] = {}  # half a million equal tuples would take 100 MB
    for table in tables:
        for row in _rows(data, table):
            name = row.get("filename") if isinstance(row, dict) else None
            if not isinstance(name, str) or not name.strip():
                reading.reject("a row without a file name", table.name)
                continue
            key = _key(name.strip().replace("\\", "/").rpartition("/")[2])
            if key in seen:
                reading.reject("the same row twice", name)
            elif key not in images:
                reading.reject("a row without an image", name)
            else:
                record = _record(images[key], row, table, labels, reading)
                if record is not None:
                    votes = shared.setdefault(record.votes, record.votes)
                    reading.records.append(_with_votes(record, votes))
            seen.add(key)
    for key, file in images.items():
        if key not in seen:
            reading.reject("an image without a row", file.name)
    reading.records.sort(key=lambda record: record.id)
    return reading


def _rows(data: DataSet, table: File) -> Iterator[Any]:
    try:
        rows = json.loads(text_of(table.source.read(MAX_TABLE_BYTES)))
    except (Unreadable, ValueError, RecursionError) as error:
        raise UsageError(f"{data.path}: {table.name}: cannot read the labels: {error}") from error
    if not isinstance(rows, list):
        got = type(rows).__name__
        raise UsageError(f"{data.path}: {table.name}: expected a list of photos, got {got}")
    yield from rows


def _record(
    image: File, row: Mapping[str, Any], table: File, labels: LabelMap, reading: Reading
) -> Record | None:
    votes: Counter[str] = Counter()
    unsure = 0
    boxes = []
    for annotator in _ANNOTATORS:
        part = next((row[key + annotator] for key in _KEYS if key + annotator in row), None)
        name, box = _annotation(part)
        if box is not None:
            boxes.append(box)
        if name is None:
            continue
        label = labels.get(name)
        if label is None:
            reading.reject(f"a label in no map: {name}", image.name)
            return None
        if label == LEFT_OUT:
            reading.reject(f"left out by the label map: {name}", image.name)
            return None
        if label == UNSURE:
            unsure += 1
        else:
            votes[label] += 1
    if not votes:
        reason = "all annotators unsure" if unsure else "a row without annotators' labels"
        reading.reject(reason, image.name)
        return None
    _count_people(row, reading)
    uploader = row.get("faceExp_uploader")
    return Record(
        id=image.name,
        source=image.source,
        votes=tuple(sorted((label, float(count)) for label, count in votes.items())),
        unsure=float(unsure),
        person=_person(image),
        split=_split(table.name),
        box=_middle(boxes),
        uploader=labels.get(uploader) if isinstance(uploader, str) else None,
    )


def _annotation(part: Any) -> tuple[str | None, BoxEdges | None]:
    """The label and the box in an annotator's part, whichever way it is laid out."""
    if not isinstance(part, dict):
        return None, None
    boxes = part.get("boxes")
    if isinstance(boxes, list):
        boxes = boxes[0] if boxes else None
    inner = boxes if isinstance(boxes, dict) else {}
    names = (part.get("faceExp"), part.get("label"), inner.get("label"), inner.get("faceExp"))
    name = next((name for name in names if isinstance(name, str) and name.strip()), None)
    try:
        left, top, right, bottom = (float(inner[edge]) for edge in _EDGES)
    except (KeyError, TypeError, ValueError):
        return name, None
    return name, (left, top, right, bottom) if left < right and top < bottom else None


def _middle(boxes: list[BoxEdges]) -> BoxEdges | None:
    """Edge by edge the median: of three annotators one may have missed the face."""
    if not boxes:
        return None
    left, top, right, bottom = (statistics.median(edges) for edges in zip(*boxes, strict=True))
    return left, top, right, bottom


def _with_votes(record: Record, votes: Votes) -> Record:
    return Record(
        record.id, record.source, votes, record.unsure, record.truth, record.person,
        record.split, record.box, record.uploader,
    )  # fmt: skip


def _key(name: str) -> str:
    """What a row and its photo have in common: .jpg and .jpeg are mixed up in real copies."""
    stem, dot, suffix = composed(name).rpartition(".")
    return (stem if dot and "." + suffix.casefold() in (".jpg", ".jpeg") else name).casefold()


def _person(image: File) -> str | None:
    person, separator, _ = image.base.partition("_")
    return person.casefold() if separator and person else None


def _split(name: str) -> Split | None:
    folded = name.casefold()
    if "valid" in folded:
        return "valid"
    return "train" if "train" in folded else None


def _count_people(row: Mapping[str, Any], reading: Reading) -> None:
    gender = row.get("gender")
    if isinstance(gender, str) and gender.strip():
        reading.about.setdefault("gender", Counter())[gender.strip()] += 1
    try:
        decade = int(row.get("age", "")) // 10 * 10
    except (TypeError, ValueError):
        return
    reading.about.setdefault("age", Counter())[f"{decade}-{decade + 9}"] += 1
