"""K-Face (한국인 안면 이미지): photos of many persons in fixed light, angle and expression.

`{High,Middle,Low}_Resolution/<8 digits: person>/S001..S006/L1..L30/E01..E03/C1..C20.jpg`, in
folders or in one zip a person. `C7.txt` beside `C7.jpg` holds seven landmarks `x y`, then boxes
`x y width height`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from trainer.data.files import DataSet, File, text_of
from trainer.data.labels import LEFT_OUT, UNSURE, LabelMap
from trainer.data.record import BoxEdges, Reading, Record, Source, Unreadable

# E01..E03 by the names that `labels.toml` knows. A frown is not yet anger: a user's map may say so.
EXPRESSIONS = {"E01": "neutral", "E02": "smile", "E03": "frown"}
_PERSON = re.compile(r"(?<!\d)(\d{8})(?!\d)")
_PLACE = re.compile(r"(^|/)(S\d+/L\d+/(E\d+)/C\d+)\.jpe?g$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class BoxFile:
    """The face's box in a `C7.txt`, read only when the photo is."""

    source: Source

    def __call__(self) -> BoxEdges | None:
        try:
            return face_box(text_of(self.source.read()).splitlines())
        except (Unreadable, ValueError):
            return None


def is_kface(data: DataSet) -> bool:
    """Whether a photo lies where K-Face puts it."""
    return any(_PLACE.search(file.name) for file in data.images())


def read_kface(data: DataSet, labels: LabelMap) -> Reading:
    """Every photo whose person and expression its path names."""
    reading = Reading("kface", faces="find")
    texts = {file.name: file for file in data.files if file.suffix == ".txt"}
    for file in data.images():
        reading.found += 1
        place = _PLACE.search(file.name)
        person = _PERSON.findall(file.name[: place.start()]) if place else []
        if place is None or not person:
            reading.reject("a path without person, expression and camera", file.name)
            continue
        expression = EXPRESSIONS.get(place[3].upper())
        label = expression and labels.get_or_keep(expression)
        if not label or label in (LEFT_OUT, UNSURE):
            reading.reject(f"left out: expression {place[3]}", file.name)
            continue
        text = _beside(file, texts)
        reading.records.append(
            Record(
                id=file.name,
                source=file.source,
                votes=((label, 1.0),),
                person=person[-1],
                box=None if text is None else BoxFile(text.source),
            )
        )
    return reading


def face_box(lines: Iterable[str]) -> BoxEdges | None:
    """The box with most landmarks in it, of several the smallest; None without boxes."""
    rows = []
    for line in lines:
        try:
            rows.append([float(word) for word in line.replace(",", " ").split()])
        except ValueError:
            continue
    points = [(row[0], row[1]) for row in rows if len(row) == 2]
    boxes: list[BoxEdges] = [
        (row[0], row[1], row[0] + row[2], row[1] + row[3])
        for row in rows
        if len(row) == 4 and row[2] > 0 and row[3] > 0
    ]

    def fit(box: BoxEdges) -> tuple[int, float]:
        left, top, right, bottom = box
        inside = sum(left <= x <= right and top <= y <= bottom for x, y in points)
        return inside, -(right - left) * (bottom - top)

    return max(boxes, key=fit, default=None)


def _beside(file: File, texts: dict[str, File]) -> File | None:
    return texts.get(file.name.rpartition(".")[0] + ".txt")
