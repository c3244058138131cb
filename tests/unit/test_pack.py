"""The pack: what goes in comes out, and nothing half-written ever bears its name."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contract.errors import PackError
from trainer.pack import Pack
from trainer.pack_format import PREFIX, encode
from trainer.pack_writer import PackWriter, majority

LABELS = ("calm", "기쁨", "sad")
SIDE = 20


def crops(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE), np.uint8)


def write(path: Path, count: int = 9, seed: int = 1) -> Pack:
    with PackWriter(path, LABELS, SIDE, made={"data": "noise"}) as writer:
        for row, crop in enumerate(crops(count, seed)):
            votes = [0.0, 0.0, 0.0]
            votes[row % 3] = 2.0
            image = crop if row % 2 else encode(crop)
            split = ("train", "valid", "test")[row % 3]
            person = None if row == 4 else f"person {row // 2}"
            writer.add(image, votes, split, person, f"사진/{row}.jpg", unsure=row % 4)  # type: ignore[arg-type]
        return writer.finish()


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    write(tmp_path / "new" / "my.pack")
    pack = Pack.open(tmp_path / "new" / "my.pack")
    assert len(pack) == 9
    assert (pack.header.name, pack.labels, pack.header.side_px) == ("my", LABELS, SIDE)
    assert pack.header.made == {"data": "noise"}
    assert pack.votes.tolist()[:3] == [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
    assert pack.unsure.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert pack.truth.tolist() == [0, 1, -1, -1, 1, 2, -1, -1, 2]
    assert [pack.split(name).tolist() for name in ("train", "valid", "test")] == [  # type: ignore[arg-type]
        [0, 3, 6], [1, 4, 7], [2, 5, 8],
    ]  # fmt: skip
    assert pack.ids[8] == "사진/8.jpg"
    assert [None if i < 0 else pack.persons[i] for i in pack.person[2:6]] == [
        "person 1", "person 1", None, "person 2",
    ]  # fmt: skip
    assert (pack.image(7) == crops(9)[7]).all()
    assert (pack.images(np.array([8, 0, 8])) == crops(9)[[8, 0, 8]]).all()
    assert pack.images([]).shape == (0, SIDE, SIDE)
    pack.check()
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["my.pack"]


def test_many_crops_are_read_by_threads_in_the_order_asked_for(tmp_path: Path) -> None:
    pack = write(tmp_path / "a.pack", 600)
    order = np.random.default_rng(0).permutation(600)
    assert (pack.images(order, threads=4) == crops(600)[order]).all()


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    first = write(tmp_path / "a.pack").header.fingerprint
    assert write(tmp_path / "b.pack").header.fingerprint == first
    assert write(tmp_path / "c.pack", seed=2).header.fingerprint != first
    assert write(tmp_path / "d.pack", 8).header.fingerprint != first


def test_nothing_is_left_of_a_pack_that_was_not_finished(tmp_path: Path) -> None:
    before = write(tmp_path / "a.pack").header.fingerprint
    with (
        pytest.raises(ValueError, match="expected 3 votes"),
        PackWriter(tmp_path / "a.pack", LABELS, SIDE) as writer,
    ):
        writer.add(crops(1)[0], [1, 0, 0], "train", None, "fits")
        writer.add(crops(1)[0], [1, 0], "train", None, "does not")
    assert [file.name for file in tmp_path.iterdir()] == ["a.pack"]
    assert Pack.open(tmp_path / "a.pack").header.fingerprint == before


@pytest.mark.parametrize("image", [b"", b"no image", np.zeros((SIDE, SIDE - 1), np.uint8)])
def test_other_images_are_refused_by_name(tmp_path: Path, image: bytes) -> None:
    with (
        PackWriter(tmp_path / "a.pack", LABELS, SIDE) as writer,
        pytest.raises(ValueError, match=r"one\.jpg: expected a gray image \(20, 20\) uint8"),
    ):
        writer.add(image, [1, 0, 0], "train", None, "one.jpg")


def test_a_pack_of_another_version_says_which(tmp_path: Path) -> None:
    write(tmp_path / "a.pack")
    data = bytearray((tmp_path / "a.pack").read_bytes())
    data[8] = 7
    (tmp_path / "a.pack").write_bytes(data)
    with pytest.raises(PackError, match=r"a\.pack: expected pack format 1, got 7"):
        Pack.open(tmp_path / "a.pack")


def test_what_is_no_pack_is_refused_by_name(tmp_path: Path) -> None:
    def refusal(data: bytes) -> str:
        (tmp_path / "x.pack").write_bytes(data)
        with pytest.raises(PackError) as caught:
            Pack.open(tmp_path / "x.pack")
        assert str(caught.value).startswith(f"{tmp_path / 'x.pack'}: ")
        return str(caught.value)

    write(tmp_path / "a.pack")
    whole = (tmp_path / "a.pack").read_bytes()
    assert "expected a pack" in refusal(b"PK\3\4" * 20)
    assert "expected a pack" in refusal(whole[:20])
    assert "cannot read" in refusal(b"")
    assert "not copied whole" in refusal(whole[:-1])
    offset = PREFIX.unpack(whole[: PREFIX.size])[2]
    index = json.loads(whole[offset:])
    for spoil in ({"tables": {}}, {"labels": ["a"]}, {"side_px": "wide"}):
        spoilt = json.dumps(index | spoil).encode()
        head = PREFIX.pack(b"emo-pack", 1, offset, len(spoilt))
        assert "index is damaged" in refusal(head + whole[PREFIX.size : offset] + spoilt)
    with pytest.raises(PackError, match=r"gone\.pack: no such pack"):
        Pack.open(tmp_path / "gone.pack")


def test_a_damaged_crop_is_found(tmp_path: Path) -> None:
    write(tmp_path / "a.pack")
    data = bytearray((tmp_path / "a.pack").read_bytes())
    data[PREFIX.size : PREFIX.size + 8] = bytes(8)
    (tmp_path / "a.pack").write_bytes(data)
    pack = Pack.open(tmp_path / "a.pack")
    with pytest.raises(PackError, match=r"crop 0 \(사진/0\.jpg\) is damaged"):
        pack.image(0)
    with pytest.raises(PackError, match="damaged"):
        pack.check()
    assert (pack.image(1) == crops(9)[1]).all()


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    program = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
from tests.unit.test_pack import write
from contract.errors import PackError
try:
    write(__import__("pathlib").Path(sys.argv[1]), 500)
except PackError as error:
    print(error)
"""
    assert hasattr(resource, "RLIMIT_FSIZE")
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.pack")], capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout == f"{tmp_path / 'a.pack'}: cannot write the pack: File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_the_reader_needs_numpy_and_opencv_only() -> None:
    program = "import sys, trainer.pack_writer; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert {"numpy", "cv2"} < loaded
    assert not loaded & {"pydantic", "pydantic_settings", "rich", "structlog", "keras", "PIL"}


@pytest.mark.parametrize(
    ("votes", "unsure", "label"),
    [
        ((2, 1, 0), 0, 0),
        ((1, 1, 1), 0, -1),
        ((1, 1, 0), 0, -1),
        ((0, 2, 0), 1, 1),
        ((0, 1, 0), 2, -1),
        ((0, 0, 0), 3, -1),
        ((0, 0, 0), 0, -1),
        ((0, 0, 1), 0, 2),
    ],
)
def test_a_majority_is_more_than_half(votes: tuple[int, ...], unsure: int, label: int) -> None:
    assert majority(np.array([votes], np.float32), np.array([unsure])).tolist() == [label]
