"""Small look-alikes of data sets that may not be shipped, with all that is wrong in real copies.

The faces are those of `deploy/demo/portraits`, put on a plain wall.
"""

from __future__ import annotations

import io
import json
import unicodedata
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

PORTRAITS = Path(__file__).resolve().parent.parent / "deploy" / "demo" / "portraits"
# Where the worker's detector sees the face in each portrait: left, top, right, bottom.
FACES = {
    "collins.jpg": (89, 59, 181, 175),
    "hopper.jpg": (125, 121, 292, 331),
    "woman.mp4": (58, 50, 116, 123),
    "man.mp4": (55, 51, 120, 141),
}
WALL = (176, 184, 190)
_ORIENTATION = 0x0112
# How a camera that writes this orientation stores an upright picture.
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

Edges = tuple[int, int, int, int]


@cache
def portrait(name: str) -> np.ndarray:
    """A portrait as (H, W, 3) uint8 BGR."""
    path = PORTRAITS / name
    if path.suffix == ".jpg":
        return np.asarray(cv2.imread(str(path)), np.uint8)
    done, frame = cv2.VideoCapture(str(path)).read()
    assert done
    return np.asarray(frame, np.uint8)


def wall(*people: tuple[str, int, int], width: int = 640, height: int = 560) -> np.ndarray:
    """People, each with the left and top of their portrait, before a wall: (H, W, 3) uint8 BGR."""
    picture = np.full((height, width, 3), WALL, np.uint8)
    for name, left, top in people:
        image = portrait(name)[: height - top, : width - left]
        picture[top : top + image.shape[0], left : left + image.shape[1]] = image
    return picture


def face_at(name: str, left: int, top: int) -> Edges:
    """Where the face is when the portrait lies at (left, top)."""
    edges = FACES[name]
    return edges[0] + left, edges[1] + top, edges[2] + left, edges[3] + top


def jpeg(picture: np.ndarray, orientation: int = 1) -> bytes:
    """An upright picture as a camera with that EXIF orientation stores it."""
    image = Image.fromarray(np.ascontiguousarray(picture[..., ::-1]))
    if orientation in _STORED:
        image = image.transpose(_STORED[orientation])
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92, exif=exif)
    return out.getvalue()


class Cp949ZipInfo(zipfile.ZipInfo):
    """A member as Korean Windows writes it: the name in cp949, no UTF-8 flag."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802  (zipfile's own name)
        return self.filename.encode("cp949"), self.flag_bits & ~0x800


def zip_up(path: Path, members: dict[str, bytes], *, cp949: bool = False) -> Path:
    """A zip at `path`, deflated."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            info = (Cp949ZipInfo if cp949 else zipfile.ZipInfo)(name, (2020, 12, 4, 10, 57, 32))
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return path


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


PERSONS = tuple(letter * 64 for letter in "abcd")


@dataclass(frozen=True)
class Shot:
    """A photo of AI Hub's set: who, what three annotators said, and how the file is."""

    person: str
    uploader: str
    said: tuple[str | None, str | None, str | None]
    who: str = "collins.jpg"
    orientation: int = 1
    background: str = "숙박 및 거주공간"
    number: int = 1
    suffix: str = ".jpg"

    @property
    def filename(self) -> str:
        return (
            f"{self.person}_여_30_{self.uploader}_{self.background}_"
            f"20201204105732-001-{self.number:03}{self.suffix}"
        )

    def data(self) -> bytes:
        return jpeg(wall((self.who, 60, 40)), self.orientation)

    def row(self, *, old_keys: bool = False, box: Edges | None = None) -> dict[str, Any]:
        edges = dict(
            zip(
                ("minX", "minY", "maxX", "maxY"),
                box or face_at(self.who, 60, 40),
                strict=True,
            )
        )
        row: dict[str, Any] = {
            "filename": self.filename,
            "gender": "여",
            "age": 30,
            "isProf": "일반인",
            "faceExp_uploader": self.uploader,
            "bg_uploader": self.background,
        }
        for name, label in zip("ABC", self.said, strict=True):
            if old_keys:
                row[f"faceBB_{name}"] = {"boxes": {**edges, "label": label}}
            else:
                row[f"annot_{name}"] = {"boxes": edges, "faceExp": label, "bg": self.background}
        return row


def as_json(rows: list[dict[str, Any]], encoding: str) -> bytes:
    return json.dumps(rows, ensure_ascii=False).encode(encoding)


def aihub(top: Path) -> Path:
    """AI Hub's 복합 영상 as downloaded: 13 photos and 13 rows, of which 8 give a crop."""
    a, b, c, d = PERSONS
    plain = Shot(a, "기쁨", ("기쁨", "기쁨", "기쁨"), number=1)
    turned = Shot(a, "기쁨", ("기쁨", "기쁨", "중립"), orientation=6, number=2)
    mistaken = Shot(c, "기쁨", ("중립", "중립", "기쁨"), who="woman.mp4", number=3)
    gone = Shot(a, "기쁨", ("기쁨", "기쁨", "기쁨"), number=4)
    rowless = Shot(a, "기쁨", (None, None, None), number=5)
    joy = [plain, turned, mistaken, gone]
    zip_up(
        top / "Training" / "[라벨]EMOIMG_기쁨_TRAIN.zip",
        {"img_emotion_training_data(기쁨).json": as_json([s.row() for s in joy], "cp949")},
        cp949=True,
    )
    zip_up(
        top / "Training" / "[원천]EMOIMG_기쁨_TRAIN_01.zip",
        {f"기쁨/{shot.filename}": shot.data() for shot in (plain, turned, mistaken, rowless)},
        cp949=True,
    )

    angry = Shot(
        b, "분노", ("분노", "분노", "알수없음"), "hopper.jpg", 8, "공공시설&종교&의료시설", 6
    )
    at_odds = Shot(b, "분노", ("분노", "슬픔", "불안"), "hopper.jpg", number=7)
    added = Shot(d, "분노", ("분노", "분노", "분노"), "man.mp4", number=8)
    # No prefix, a BOM, a folder of additions, and names as macOS spells them.
    rows = [angry.row(), at_odds.row(), added.row(old_keys=True)]
    folder = top / "Training" / nfd("EMOIMG_분노_TRAIN_add")
    folder.mkdir(parents=True)
    (folder / nfd("img_emotion_training_data(분노).json")).write_bytes(as_json(rows, "utf-8-sig"))
    zip_up(
        top / "Training" / "EMOIMG_분노_TRAIN_01.zip",
        {nfd(f"분노_add/{shot.filename}"): shot.data() for shot in (angry, at_odds, added)},
    )

    calm = Shot(c, "중립", ("중립", "중립", "중립"), "woman.mp4", number=9)
    cut = Shot(c, "중립", ("중립", "중립", "중립"), "woman.mp4", number=10)
    two = Shot(d, "중립", ("중립", "중립", "중립"), "hopper.jpg", number=11)
    nobody = Shot(d, "중립", ("중립", "중립", "중립"), number=12)
    unsure = Shot(d, "당황", ("알수없음", "알수없음", "알수없음"), number=13)
    elsewhere = Shot(d, "중립", ("중립", "중립", "중립"), number=14)
    box = face_at("woman.mp4", 440, 200)
    zip_up(
        top / "Validation" / "[라벨]EMOIMG_중립_VALID.zip",
        {
            "img_emotion_validation_data(중립).json": as_json(
                [
                    *(shot.row() for shot in (calm, cut, nobody, unsure)),
                    two.row(box=box),
                    elsewhere.row(box=(560, 500, 620, 550)),
                ],
                "utf-8",
            )
        },
    )
    whole = cut.data()
    zip_up(
        top / "Validation" / "[원천]EMOIMG_중립_VALID (2).zip",
        {
            calm.filename.replace(".jpg", ".jpeg"): calm.data(),
            cut.filename: whole[: len(whole) // 2],
            # Hopper's face is the larger, the box is round the woman's.
            two.filename: jpeg(wall(("hopper.jpg", 0, 20), ("woman.mp4", 440, 200))),
            nobody.filename: jpeg(wall()),
            unsure.filename: unsure.data(),
            elsewhere.filename: elsewhere.data(),
        },
    )
    return top


def kface(top: Path) -> Path:
    """K-Face: two persons in zips of their own, one in a folder; ten photos, nine with a place."""
    for person, who in (("19062421", "collins.jpg"), ("19062422", "hopper.jpg")):
        members = {}
        for expression in ("E01", "E02", "E03"):
            folder = f"S001/L1/{expression}"
            members[f"{folder}/C7.jpg"] = jpeg(wall((who, 60, 40)))
            members[f"{folder}/C7.txt"] = landmarks(face_at(who, 60, 40)).encode()
        zip_up(top / "High_Resolution" / f"{person}.zip", members)
    for expression in ("E01", "E02", "E03"):
        folder = top / "Middle_Resolution" / "19062423" / "S001" / "L30" / expression
        folder.mkdir(parents=True)
        (folder / "C1.JPG").write_bytes(jpeg(wall(("man.mp4", 60, 40))))
    (top / "readme.jpg").write_bytes(jpeg(wall()))
    return top


def landmarks(face: Edges) -> str:
    """What lies beside a photo: seven points, then the boxes of the face and of other things."""
    left, top, right, bottom = face
    points = [(left + (right - left) * i // 8, (top + bottom) // 2) for i in range(1, 8)]
    boxes = [
        (left, top, right - left, bottom - top),
        (left - 40, top - 40, right - left + 80, bottom - top + 80),  # the head
        (left, (top + bottom) // 2 + 5, 20, 10),  # an eye
    ]
    lines = [f"{x} {y}" for x, y in points] + [" ".join(map(str, box)) for box in boxes]
    return "\r\n".join(lines) + "\r\n"
