"""The FER+ reader, on a small look-alike and on the real data where it is at hand."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from contract.errors import UsageError
from trainer.data.ferplus import majority, read_split

HEADER = (
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
)
NEW = [
    HEADER,
    "Training,fer0000000.png,9,1,0,0,0,0,0,0,0,0",
    "PublicTest,fer0000001.png,0,9,1,0,0,0,0,0,0,0",
    "PrivateTest,fer0000002.png,0,0,0,8,2,0,0,0,0,0",
    "PrivateTest,fer0000003.png,4,0,0,4,2,0,0,0,0,0",
    "PrivateTest,,0,0,0,0,0,0,0,0,0,10",
    "PrivateTest,fer0000009.png,9,1,0,0,0,0,0,0,0,0",
]
OLD = [
    'fer0000002.png,"(0, 0, 48, 48)",0,0,0,2,8,0,0,0,0,0',
    'fer0000003.png,"(0, 0, 48, 48)",10,0,0,0,0,0,0,0,0,0',
]


def picture(value: int, side: int = 48) -> bytes:
    done, data = cv2.imencode(".png", np.full((side, side), value, np.uint8))
    assert done
    return bytes(data)


def lay_out(top: Path, new: list[str] = NEW) -> Path:
    data = top / "data"
    for name, index in (("Train", 0), ("Valid", 1), ("Test", 2), ("Test", 3)):
        folder = data / f"FER2013{name}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"fer000000{index}.png").write_bytes(picture(index))
    (data / "FER2013Test" / "label.csv").write_text("\n".join(OLD) + "\n", "utf-8")
    (data / "fer2013new.csv").write_text("\r\n".join(new) + "\r\n", "utf-8-sig")
    return top


def zipped(top: Path) -> Path:
    target = top.with_suffix(".zip")
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(top.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(top).as_posix())
    return target


@pytest.mark.parametrize("place", [lambda top: top, lambda top: top / "data", zipped])
def test_a_zip_its_folder_and_the_data_folder_read_alike(
    tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    split = read_split(place(lay_out(tmp_path / "ferplus")), "test")
    assert split.ids == ("fer0000002", "fer0000003")
    assert split.images.shape == (2, 48, 48)
    assert split.images.dtype == np.uint8
    assert split.images[:, 0, 0].tolist() == [2, 3]
    assert split.votes.tolist()[0] == [0, 0, 0, 8, 2, 0, 0, 0, 0, 0]
    assert (split.unnamed, split.without_image, split.unreadable) == (1, 1, 0)
    assert majority(split.votes).tolist() == [3, -1]


def test_old_votes_come_from_the_folder(tmp_path: Path) -> None:
    split = read_split(lay_out(tmp_path), "test", "old")
    assert split.ids == ("fer0000002", "fer0000003")
    assert majority(split.votes).tolist() == [4, 0]


def test_splits_are_kept_apart(tmp_path: Path) -> None:
    lay_out(tmp_path)
    assert read_split(tmp_path, "train").ids == ("fer0000000",)
    assert read_split(tmp_path, "valid").ids == ("fer0000001",)


@pytest.mark.parametrize("data", [b"", b"not a picture", picture(1)[:60], picture(1, side=47)])
def test_unreadable_images_are_counted(tmp_path: Path, data: bytes) -> None:
    lay_out(tmp_path)
    (tmp_path / "data/FER2013Test/fer0000002.png").write_bytes(data)
    split = read_split(tmp_path, "test")
    assert split.ids == ("fer0000003",)
    assert split.unreadable == 1


def test_a_damaged_zip_member_is_one_unreadable_image(tmp_path: Path) -> None:
    path = zipped(lay_out(tmp_path / "ferplus"))
    data = path.read_bytes()
    start = data.index(picture(2))
    path.write_bytes(data[: start + 40] + b"\xff" * 4 + data[start + 44 :])
    split = read_split(path, "test")
    assert split.ids == ("fer0000003",)
    assert split.unreadable == 1


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        ((5, 1, 1, 1, 1, 1, 0, 0, 0, 0), 0),  # single votes are dropped, so 5 of 5
        ((5, 5, 0, 0, 0, 0, 0, 0, 0, 0), -1),  # half is not more than half
        ((6, 4, 0, 0, 0, 0, 0, 0, 0, 0), 0),
        ((4, 3, 3, 0, 0, 0, 0, 0, 0, 0), -1),  # a plurality is no majority
        ((0, 0, 0, 0, 0, 0, 0, 4, 4, 0), -1),  # unknown counts in what is left
        ((0, 0, 0, 0, 0, 0, 0, 3, 2, 0), 7),
        ((2, 0, 0, 0, 0, 0, 0, 0, 8, 0), -1),  # most say unknown
        ((0, 0, 0, 0, 0, 0, 0, 0, 0, 10), -1),  # most say not a face
        ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), -1),
        ((0, 0, 0, 0, 0, 0, 0, 0, 0, 0), -1),
    ],
)
def test_majority_rule(votes: tuple[int, ...], label: int) -> None:
    assert majority(np.array([votes], np.int64)).tolist() == [label]


def test_majority_of_nothing() -> None:
    assert majority(np.zeros((0, 10), np.int64)).shape == (0,)


def remove(name: str) -> Callable[[Path], object]:
    return lambda top: (top / "data" / name).unlink()


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda top: (top / "data" / name).write_text(text, "utf-8")


@pytest.mark.parametrize(
    ("spoil", "votes", "text"),
    [
        (remove("fer2013new.csv"), "new", r"fer2013new\.csv: no such file"),
        (remove("FER2013Test/label.csv"), "old", r"FER2013Test/label\.csv: no such file"),
        (write("fer2013new.csv", ""), "new", "expected the columns Usage,Image name"),
        (write("fer2013new.csv", "emotion,pixels,Usage\n"), "new", "got .'emotion', 'pixels'"),
        (
            write("fer2013new.csv", f"{HEADER}\nPrivateTest,fer0000002.png,1,2\n"),
            "new",
            r"fer2013new\.csv: row 2: expected 10 votes, got .'1', '2'",
        ),
        (
            write("FER2013Test/label.csv", 'a.png,"(0, 0)",x,0,0,0,0,0,0,0,0,0\n'),
            "old",
            r"label\.csv: row 1: expected 10 votes",
        ),
        (
            write("fer2013new.csv", f"{HEADER}\nPrivateTest,gone.png,1,2,0,0,0,0,0,0,0,0\n"),
            "new",
            "expected images in FER2013Test, found none of the 1",
        ),
    ],
)
def test_malformed_data_is_refused_by_name(
    tmp_path: Path, spoil: Callable[[Path], object], votes: Literal["new", "old"], text: str
) -> None:
    spoil(lay_out(tmp_path / "ferplus"))
    for place in (tmp_path / "ferplus", zipped(tmp_path / "ferplus")):
        with pytest.raises(UsageError, match=text) as caught:
            read_split(place, "test", votes)
        assert str(caught.value).startswith(str(place))


def test_what_is_not_ferplus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        read_split(tmp_path / "gone.zip", "test")
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(UsageError, match=r"text\.zip: expected the FER\+ zip"):
        read_split(tmp_path / "text.zip", "test")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="expected FER2013Train, FER2013Valid, FER2013Test"):
        read_split(tmp_path / "empty", "test")
    lay_out(tmp_path / "part")
    for file in (tmp_path / "part/data/FER2013Valid").iterdir():
        file.unlink()
    (tmp_path / "part/data/FER2013Valid").rmdir()
    with pytest.raises(UsageError, match="expected the folder FER2013Valid"):
        read_split(tmp_path / "part", "valid")


@pytest.fixture(scope="module")
def ferplus() -> Path:
    path = Path(__file__).parents[3] / "shared" / "data" / "ferplus.zip"
    if not path.is_file():
        pytest.skip(f"needs FER+ in {path}")
    return path


@pytest.mark.parametrize(
    ("split", "votes", "count"),
    [("test", "new", 3153), ("valid", "new", 3199), ("test", "old", 3137)],
)
def test_counts_are_those_of_the_literature(
    ferplus: Path,
    split: Literal["valid", "test"],
    votes: Literal["new", "old"],
    count: int,
) -> None:
    found = read_split(ferplus, split, votes)
    assert int((majority(found.votes) >= 0).sum()) == count
    assert (found.without_image, found.unreadable) == (0, 0)
    assert found.images.shape == (len(found.ids), 48, 48)
