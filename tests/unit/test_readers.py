"""Readers of data sets, on small look-alikes: every record, and why others are none."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from contract.errors import UsageError
from tests.lookalikes import PERSONS, aihub, face_at, kface, landmarks, zip_up
from tests.unit.test_ferplus import HEADER, lay_out, picture, zipped
from trainer.data.find import Format, read_data
from trainer.data.kface import face_box
from trainer.data.labels import read_label_map
from trainer.data.record import Reading, Record


def read(path: Path, wanted: Format = "auto", extra: Path | None = None) -> Reading:
    return read_data(path, read_label_map(extra), wanted)


def by_number(reading: Reading) -> dict[int, Record]:
    """AI Hub's records by the number that ends their names."""
    return {int(record.id.rpartition(".")[0][-3:]): record for record in reading.records}


def test_aihub_is_read_with_everything_that_is_wrong_in_it(tmp_path: Path) -> None:
    reading = read(aihub(tmp_path / "aihub"))
    assert reading.reader == "aihub"
    assert reading.found == 13
    found = by_number(reading)
    assert sorted(found) == [1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 14]
    assert reading.unmatched == {
        "a row without an image": 1,
        "an image without a row": 1,
        "all annotators unsure": 1,
    }
    assert found[1].votes == (("happiness", 3.0),)
    assert found[2].votes == (("happiness", 2.0), ("neutral", 1.0))
    assert (found[3].votes, found[3].uploader) == (
        (("happiness", 1.0), ("neutral", 2.0)),
        "happiness",
    )
    assert (found[6].votes, found[6].unsure) == ((("anger", 2.0),), 1)
    assert [label for label, _ in found[7].votes] == ["anger", "anxious", "sadness"]
    assert found[8].votes == (("anger", 3.0),)  # told as faceBB_A.boxes.label
    assert found[8].annotated_box() == face_at("man.mp4", 60, 40)
    assert {found[n].person for n in (1, 2)} == {PERSONS[0]}
    assert {found[n].split for n in (1, 6, 8)} == {"train"}
    assert {found[n].split for n in (9, 11)} == {"valid"}
    assert found[9].id.endswith(".jpeg")  # its row says .jpg
    assert all(record.source.read() for record in reading.records)
    assert reading.about == {"gender": {"여": 11}, "age": {"30-39": 11}}


def test_aihub_takes_the_middle_of_three_boxes(tmp_path: Path) -> None:
    edges = ("minX", "minY", "maxX", "maxY")
    row: dict[str, object] = {"filename": "p_여_1.jpg", "faceExp_uploader": "기쁨"}
    boxes = ((0, 0, 9, 9), (100, 50, 200, 150), (110, 60, 210, 160))
    for name, box in zip("ABC", boxes, strict=True):
        row[f"annot_{name}"] = {"boxes": dict(zip(edges, box, strict=True)), "faceExp": "기쁨"}
    (tmp_path / "img_emotion_training_data(기쁨).json").write_text(json.dumps([row]), "utf-8")
    (tmp_path / "p_여_1.jpg").write_bytes(b"x")
    (record,) = read(tmp_path).records
    assert record.annotated_box() == (100, 50, 200, 150)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "cannot read the labels"),
        ('{"a": 1}', "expected a list of photos, got dict"),
        ("[[[", "cannot read the labels"),
    ],
)
def test_aihub_names_a_malformed_label_file(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "img_emotion_training_data(기쁨).json").write_text(text, "utf-8")
    (tmp_path / "x.jpg").touch()
    with pytest.raises(UsageError, match=rf"\(기쁨\)\.json: {fault}"):
        read(tmp_path)


def test_aihub_survives_rows_of_any_shape(tmp_path: Path) -> None:
    text = """[1, null, {}, {"filename": 3}, {"filename": "x.jpg"},
      {"filename": "y.jpg", "annot_A": 1, "annot_B": {"boxes": [], "faceExp": "기쁨"},
       "annot_C": {"boxes": {"minX": "a"}, "faceExp": null}, "age": "x", "gender": 1},
      {"filename": "z.jpg", "annot_A": {"faceExp": "배고픔"}}]"""
    (tmp_path / "img_emotion_training_data(기쁨).json").write_text(text, "utf-8")
    for name in ("x.jpg", "y.jpg", "z.jpg"):
        (tmp_path / name).touch()
    reading = read(tmp_path)
    assert [(r.id, r.votes, r.box, r.person) for r in reading.records] == [
        ("y.jpg", (("happiness", 1.0),), None, None)
    ]
    assert reading.unmatched == {
        "a row without a file name": 4,
        "a row without annotators' labels": 1,
        "a label in no map: 배고픔": 1,
    }


def test_kface_is_read_from_zips_and_folders(tmp_path: Path) -> None:
    reading = read(kface(tmp_path / "kface"))
    assert reading.reader == "kface"
    assert reading.found == 10
    assert Counter((record.person, record.votes[0][0]) for record in reading.records) == {
        (person, label): 1
        for person in ("19062421", "19062422", "19062423")
        for label in ("neutral", "happiness", "frown")
    }
    assert reading.unmatched == {"a path without person, expression and camera": 1}
    boxes = {record.person: record.annotated_box() for record in reading.records}
    assert boxes == {
        "19062421": face_at("collins.jpg", 60, 40),
        "19062422": face_at("hopper.jpg", 60, 40),
        "19062423": None,
    }


def test_kface_frowns_can_be_told_to_be_anger(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[names]\nfrown = "anger"\n')
    reading = read(kface(tmp_path / "kface"), extra=tmp_path / "mine.toml")
    assert {record.votes[0][0] for record in reading.records} == {"neutral", "happiness", "anger"}


def test_kface_box_is_the_one_around_the_landmarks() -> None:
    assert face_box(landmarks((100, 80, 200, 220)).splitlines()) == (100, 80, 200, 220)
    assert face_box(["1 2", "nonsense", ""]) is None


def jpg() -> bytes:
    return picture(9)


@pytest.mark.parametrize("place", ["", "data/", "some/where/"])
@pytest.mark.parametrize("zip_it", [False, True])
def test_a_folder_per_class_with_and_without_splits(
    tmp_path: Path, place: str, zip_it: bool
) -> None:
    paths = [
        "train/Happy/a.jpg",
        "train/Happy/deep/b.PNG",
        "train/슬픔/c.jpg",
        "Validation/Happy/d.jpg",
    ]
    members = {place + path: jpg() for path in paths} | {place + "train/readme.txt": b"x"}
    top = tmp_path / "set"
    if zip_it:
        top = zip_up(tmp_path / "set.zip", members)
    for path, data in () if zip_it else members.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(data)
    reading = read(top)
    assert reading.reader == "folder"
    assert [(r.votes[0][0], r.split) for r in reading.records] == [
        ("happiness", "valid"),
        ("happiness", "train"),
        ("happiness", "train"),
        ("sadness", "train"),
    ]
    assert reading.kept_names == set()


def test_a_folder_named_by_the_user_is_a_class_of_its_own(tmp_path: Path) -> None:
    reading = read(zip_up(tmp_path / "a.zip", {"very calm/a.jpg": b"1", "glad/b.jpg": b"2"}))
    assert {record.votes[0][0] for record in reading.records} == {"very_calm", "glad"}
    assert reading.kept_names == {"very calm", "glad"}


def test_a_class_that_nobody_filled_is_named(tmp_path: Path) -> None:
    for name in ("train/happy", "train/sad", "test/happy", "test/sad", "train/fear"):
        (tmp_path / name).mkdir(parents=True)
        if name != "train/fear":
            (tmp_path / name / "x.jpg").touch()
    with pytest.raises(UsageError, match="train/fear: the folder of a class has no image in it"):
        read(tmp_path)


def write_table(folder: Path, rows: list[list[str]], encoding: str = "utf-8") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "labels.csv").open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream).writerows(rows)
    return folder


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949"])
def test_a_table_says_label_person_and_split(tmp_path: Path, encoding: str) -> None:
    rows = [
        ["Label", "PATH", "person", "split", "note"],
        ["기쁨", "img/하나.jpg", "김, 가", "Training", "a\nb"],
        ["sad", ".\\img\\two.jpg", "", "val", ""],
        ["sad", "img/two.jpg", "", "", ""],
        ["unknown", "img/three.jpg", "", "", ""],
        ["sad", "img/gone.jpg", "", "", ""],
        ["", "img/three.jpg", "", "", ""],
    ]
    top = write_table(tmp_path / "t", rows, encoding)
    (top / "img").mkdir()
    for name in ("하나", "two", "three", "spare"):
        (top / "img" / f"{name}.jpg").touch()
    for place in (top, top / "labels.csv"):
        reading = read(place)
        assert reading.reader == "table"
        found = {r.id: (r.votes[0][0], r.person, r.split) for r in reading.records}
        assert found == {
            "img/하나.jpg": ("happiness", "김, 가", "train"),
            "img/two.jpg": ("sadness", None, "valid"),
        }
        assert reading.unmatched == {
            "the same row twice": 1,
            "left out by the label map: unknown": 1,
            "a row without an image": 1,
            "a row without path or label": 1,
            "an image without a row": 1,
        }


def ferplus_of_kaggle(top: Path) -> Path:
    """Kaggle's CSV: six rows for the six rows of `test_ferplus.NEW`."""
    lay_out(top / "other")
    usages = ["Training", "PublicTest"] + ["PrivateTest"] * 4
    rows = [["emotion", "pixels", "Usage"]]
    rows += [["3", " ".join([str(i)] * 48 * 48), usage] for i, usage in enumerate(usages)]
    write_table(top / "kaggle", rows)
    (top / "kaggle" / "labels.csv").rename(top / "kaggle" / "fer2013.csv")
    (top / "other" / "data" / "fer2013new.csv").rename(top / "kaggle" / "fer2013new.csv")
    return top / "kaggle"


def test_both_layouts_of_ferplus_read_alike(tmp_path: Path) -> None:
    kaggle = ferplus_of_kaggle(tmp_path / "a")
    tree = lay_out(tmp_path / "b")
    seen = []
    for place in (kaggle, zip_up(tmp_path / "k.zip", members(kaggle)), tree, zipped(tree)):
        reading = read(place)
        assert (reading.reader, reading.faces, reading.side_px) == ("ferplus", "whole", 48)
        seen.append([(r.id, r.votes, r.unsure, r.truth, r.split) for r in reading.records])
    assert seen[0][:4] == seen[2] == seen[3]
    assert seen[0] == seen[1]
    assert seen[0][3] == (
        "fer0000003", (("neutral", 4.0), ("sadness", 4.0), ("anger", 2.0)), 0, "", "test",
    )  # fmt: skip
    image = cv2.imdecode(np.frombuffer(read(kaggle).records[2].source.read(), np.uint8), 0)
    assert (image == 2).all()
    assert image.shape == (48, 48)


def members(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_without_the_votes_of_ferplus_kaggles_own_labels_are_taken(tmp_path: Path) -> None:
    folder = ferplus_of_kaggle(tmp_path)
    (folder / "fer2013new.csv").unlink()
    reading = read(folder / "fer2013.csv")
    assert reading.reader == "fer2013"
    assert {record.votes for record in reading.records} == {(("happiness", 1.0),)}
    assert len(reading.records) == 6


def test_ferplus_without_the_new_votes_says_that_it_took_the_old(tmp_path: Path) -> None:
    tree = lay_out(tmp_path)
    (tree / "data" / "fer2013new.csv").unlink()
    reading = read(tree)
    assert reading.reader == "ferplus, old votes"
    assert [record.truth for record in reading.records] == ["anger", "neutral"]
    assert reading.unmatched == {"an image without a row": 2}


def test_a_repeated_row_of_ferplus_counts_as_it_does_in_papers(tmp_path: Path) -> None:
    row = "Training,fer0000000.png,9,1,0,0,0,0,0,0,0,0"
    reading = read(lay_out(tmp_path, [HEADER, row, row]))
    assert [record.id for record in reading.records] == ["fer0000000", "fer0000000 #2"]
    assert {record.source.read() for record in reading.records} == {picture(0)}


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ("emotion,pixels\n", "expected the columns emotion,pixels,Usage"),
        ("emotion,pixels,Usage\n9,1 2,Training\n", "row 2: expected a number from 0 to 6"),
        ("emotion,pixels,Usage\n1,1 256,Training\n", "row 2: expected a number from 0 to 6"),
        ("emotion,pixels,Usage\n1,1 2,Other\n", "row 2: .* one of Training, PublicTest"),
    ],
)
def test_a_malformed_fer2013_is_refused_by_row(tmp_path: Path, rows: str, fault: str) -> None:
    (tmp_path / "fer2013.csv").write_text(rows)
    with pytest.raises(UsageError, match=rf"fer2013\.csv: {fault}"):
        read(tmp_path)


def test_what_holds_no_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected images, found none in 0 files"):
        read(tmp_path)
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UsageError, match="expected a folder per class"):
        read(tmp_path)
    with pytest.raises(UsageError, match=r"expected a CSV with the columns path,label"):
        read(tmp_path, "table")
    with pytest.raises(UsageError, match=r"expected AI Hub's label files \(\*\.json\)"):
        read(tmp_path, "aihub")
    with pytest.raises(UsageError, match="as kface: no image has a label: a path without"):
        read(tmp_path, "kface")
    with pytest.raises(UsageError, match=r"expected FER\+'s images or fer2013\.csv|got none"):
        read(tmp_path, "ferplus")
    (tmp_path / "labels.csv").write_text("path,label\nb.jpg,sad\n")
    with pytest.raises(UsageError, match="as table: no image has a label: a row without an image"):
        read(tmp_path)
