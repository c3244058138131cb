"""Files of a data set: names that can be relied on, bytes read in place."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pytest

from contract.errors import UsageError
from tests.lookalikes import nfd, zip_up
from trainer.data.files import list_files, text_of
from trainer.data.record import Unreadable

NAME = "기쁨/사진 & 글.jpg"


def names(path: Path) -> list[str]:
    return [file.name for file in list_files(path).files]


@pytest.mark.parametrize("cp949", [False, True])
def test_korean_names_in_zips_are_read_with_and_without_the_flag(
    tmp_path: Path, cp949: bool
) -> None:
    assert names(zip_up(tmp_path / "a.zip", {NAME: b"x"}, cp949=cp949)) == [NAME]


def test_names_are_composed_wherever_they_come_from(tmp_path: Path) -> None:
    zip_up(tmp_path / nfd("가.zip"), {nfd(NAME): b"x"})
    (tmp_path / nfd("나")).mkdir()
    (tmp_path / nfd("나") / nfd("다.jpg")).write_bytes(b"y")
    assert nfd("가") != "가"
    assert names(tmp_path) == [f"가.zip/{NAME}", "나/다.jpg"]


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take UTF-8 names only")
def test_names_that_an_unzip_left_in_cp949_are_read(tmp_path: Path) -> None:
    for name in ("기쁨".encode("cp949"), b"\xff\xff"):
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + b".jpg"))).write_bytes(b"x")
    found = list_files(tmp_path).files
    assert [file.source.read() for file in found] == [b"x", b"x"]
    assert "기쁨.jpg" in [file.name for file in found]
    for file in found:
        file.name.encode()  # whatever it is, it can be written into the audit


def test_a_zip_in_a_folder_reads_as_a_folder(tmp_path: Path) -> None:
    zip_up(tmp_path / "data" / "a.zip", {"one.jpg": b"1" * 1000, "deep/two.PNG": b"22"})
    (tmp_path / "data" / "three.txt").write_bytes(b"333")
    zip_up(tmp_path / "data" / "b.zip", {"inner.zip": b"PK"})
    found = list_files(tmp_path / "data")
    assert [(file.name, file.source.read()) for file in found.files] == [
        ("a.zip/deep/two.PNG", b"22"),
        ("a.zip/one.jpg", b"1" * 1000),
        ("b.zip/inner.zip", b"PK"),
        ("three.txt", b"333"),
    ]
    assert [file.base for file in found.images()] == ["two.PNG", "one.jpg"]


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    zip_up(tmp_path / "a.zip", {"__MACOSX/._x.jpg": b"1", "x.jpg": b"2", ".DS_Store": b"3"})
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "y.jpg").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    assert names(tmp_path) == ["a.zip/x.jpg"]


def test_damage_in_a_zip_is_found_in_the_member_only(tmp_path: Path) -> None:
    path = zip_up(tmp_path / "a.zip", {"bad.jpg": bytes(range(256)) * 9, "good.jpg": b"good"})
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("bad.jpg").header_offset + 30 + len("bad.jpg")
    data[start + 8 : start + 16] = bytes(8)
    path.write_bytes(data)
    bad, good = list_files(path).files
    assert good.source.read() == b"good"
    with pytest.raises(Unreadable, match="damaged in the zip"):
        bad.source.read()
    path.write_bytes(data[:20])
    with pytest.raises(Unreadable, match="damaged in the zip"):
        bad.source.read()


def test_encrypted_and_huge_members_are_not_read(tmp_path: Path) -> None:
    path = zip_up(tmp_path / "a.zip", {"x.jpg": bytes(5000)})
    (file,) = list_files(path).files
    with pytest.raises(Unreadable, match="too large"):
        file.source.read(4999)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    (file,) = list_files(path).files
    with pytest.raises(Unreadable, match="encrypted"):
        file.source.read()


def test_a_zip_that_cannot_be_opened_is_named_and_the_rest_read(tmp_path: Path) -> None:
    (tmp_path / "half.zip").write_bytes(b"PK\3\4 and then nothing")
    (tmp_path / "x.jpg").touch()
    found = list_files(tmp_path)
    assert [file.name for file in found.files] == ["x.jpg"]
    assert "half.zip: cannot open the zip" in found.bad_zips[0]
    with pytest.raises(UsageError, match=r"half\.zip: not a zip, or not copied whole"):
        list_files(tmp_path / "half.zip")
    with pytest.raises(UsageError, match="gone: no such file or folder"):
        list_files(tmp_path / "gone")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp949", "utf-16"])
def test_label_files_are_read_in_every_encoding_they_come_in(encoding: str) -> None:
    assert text_of("알수없음".encode(encoding)) == "알수없음"
