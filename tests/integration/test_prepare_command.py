"""`emotion-trainer prepare` as a user types it, on look-alikes and on real data."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
import pytest

from contract.event import Box
from tests.lookalikes import FACES, aihub, face_at, jpeg, kface, portrait, wall, zip_up
from trainer.cli import main
from trainer.data.record import Record
from trainer.pack import Pack
from trainer.prepare.cropping import Cropped, Cropper, Refused
from trainer.prepare.faces import open_detector
from worker.faces.crop import crop_face
from worker.faces.detector import FaceDetector

REPOSITORY = Path(__file__).parents[2]
SHARED_FERPLUS = REPOSITORY.parent / "shared" / "data" / "ferplus.zip"
LABELS = "neutral,happiness,anger"


def prepare(*arguments: str | Path) -> int:
    return main(["prepare", *map(str, arguments)])


def facts_of(pack: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(pack.with_suffix(".audit.json").read_text("utf-8"))
    return facts


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return open_detector()


@pytest.fixture(scope="module")
def korean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack of AI Hub's look-alike."""
    folder = tmp_path_factory.mktemp("aihub")
    data = aihub(folder / "data")
    assert prepare(data, "--out", folder / "out" / "aihub.pack", "--labels", LABELS) == 0
    assert files(folder / "out") == ["aihub.audit.html", "aihub.audit.json", "aihub.pack"]
    return folder / "out" / "aihub.pack"


def by_number(pack: Pack) -> dict[int, int]:
    return {int(name.rpartition(".")[0][-3:]): row for row, name in enumerate(pack.ids)}


def test_aihub_becomes_a_pack_of_upright_crops(korean: Path) -> None:
    pack = Pack.open(korean)
    pack.check()
    rows = by_number(pack)
    assert sorted(rows) == [1, 2, 3, 6, 7, 8, 9, 11]
    assert pack.labels == ("neutral", "happiness", "anger")
    assert pack.votes[rows[2]].tolist() == [1, 2, 0]
    assert (pack.votes[rows[6]].tolist(), pack.unsure[rows[6]]) == ([0, 0, 2], 1)
    # 슬픔 and 불안 are not among --labels: one of three said 분노, which is no majority.
    assert (pack.votes[rows[7]].tolist(), pack.unsure[rows[7]]) == ([0, 0, 1], 2)
    assert {n: int(pack.truth[row]) for n, row in rows.items()} == {
        1: 1, 2: 1, 3: 0, 6: 2, 7: -1, 8: 2, 9: 0, 11: 0,
    }  # fmt: skip
    # As the worker would cut them from the upright photo, but for what JPEG changed.
    for number, (who, left, top) in {
        1: ("collins.jpg", 60, 40),
        2: ("collins.jpg", 60, 40),  # stored on its side
        6: ("hopper.jpg", 60, 40),  # stored on its other side
        9: ("woman.mp4", 60, 40),
        11: ("woman.mp4", 440, 200),  # the smaller of two faces, but the one in the box
    }.items():
        wanted = crop_face(wall((who, left, top)), Box(*face_at(who, left, top)))
        crop = pack.image(rows[number])
        assert correlation(crop, wanted) > 0.9, number


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Of two crops, at a size where a box that is a few pixels off does not matter."""
    small = [cv2.resize(crop, (16, 16), interpolation=cv2.INTER_AREA) for crop in (one, other)]
    return float(np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1])


def test_aihub_audit_counts_everything(korean: Path) -> None:
    facts = facts_of(korean)
    assert facts["images"] == {
        "found": 13,
        "with labels": 11,
        "in the pack": 8,
        "with an agreed label": 7,
        "rotated by EXIF": 2,
    }
    assert {why: found["count"] for why, found in facts["rejected"].items()} == {
        "a row without an image": 1,
        "an image without a row": 1,
        "all annotators unsure": 1,
        "truncated": 1,
        "no face found": 1,
        "no face found at the annotated box": 1,
    }
    assert facts["rejected"]["truncated"]["examples"][0].endswith("-010.jpg")
    detection = facts["detection"]
    assert (detection["photos"], detection["a face found"]) == (10, 8)
    assert detection["several faces"] == 1
    assert detection["IoU with the annotated box"]["boxes"] == 8
    assert detection["IoU with the annotated box"]["median"] > 0.7
    told = facts["agreement"]["uploader's label is the annotators' majority"]
    assert told["happiness"] == {"images": 3, "share": 0.6667}
    assert facts["agreement"]["voters"]["images"] == 8
    assert facts["persons"]["in more than one split"] == 0
    assert sum(facts["splits"].values()) == 8
    assert facts["fingerprint"] == Pack.open(korean).header.fingerprint


def test_the_sheet_shows_the_faces_of_every_class(korean: Path) -> None:
    page = korean.with_suffix(".audit.html").read_text("utf-8")
    for label in ("neutral", "happiness", "anger", "(none agreed)"):
        assert f"<h2>{label}</h2><img " in page
    assert "http" not in page  # it needs nothing else
    assert "no face found at the annotated box" in page


def test_kface_splits_by_person(tmp_path: Path) -> None:
    out = tmp_path / "kface.pack"
    assert prepare(kface(tmp_path / "data"), "--out", out) == 0
    pack = Pack.open(out)
    assert pack.labels == ("neutral", "happiness", "frown")
    assert len(pack) == 9
    for name in ("train", "valid", "test"):
        rows = pack.split(name)  # type: ignore[arg-type]
        assert len({int(person) for person in pack.person[rows]}) == 1
        assert pack.truth[rows].tolist() == [0, 1, 2]
    facts = facts_of(out)
    assert facts["split by"] == "by person"
    assert facts["detection"]["IoU with the annotated box"]["boxes"] == 6


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, limit: int = 0) -> bytes:
        return self.data


def test_faces_that_fill_the_photo_are_found_with_a_margin(detector: FaceDetector) -> None:
    photos = []
    for name, (left, top, right, bottom) in FACES.items():
        close = portrait(name)[top:bottom, left:right]
        photos.append(Record(name, Bytes(jpeg(close)), (("calm", 1.0),)))
    photos.append(Record("nobody", Bytes(jpeg(wall())), (("calm", 1.0),)))
    cropper = Cropper("close-up", 96, exact=False, detector=detector)
    (found,) = cropper.outcomes(photos, threads=2, stop=Event())
    for outcome in found[:-1]:
        assert isinstance(outcome, Cropped)
        image = cv2.imdecode(np.frombuffer(outcome.data, np.uint8), cv2.IMREAD_GRAYSCALE)
        wanted = crop_face(portrait(outcome.id), Box(*FACES[outcome.id]))
        assert correlation(image[16:-16, 16:-16], wanted[16:-16, 16:-16]) > 0.8, outcome.id
    assert found[-1] == Refused("nobody", "no face found")


def squares(path: Path, count: int, labels: tuple[str, ...] = ("happy", "sad")) -> Path:
    """A folder per class of gray noise, 64 px wide; each image has another seed."""
    members = {}
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (64, 64), np.uint8)
        data = bytes(cv2.imencode(".png", noise)[1])
        members[f"{labels[number % len(labels)]}/{number:04}.png"] = data
    return zip_up(path, members)


def test_small_squares_are_crops_already(tmp_path: Path) -> None:
    out = tmp_path / "a.pack"
    assert prepare(squares(tmp_path / "a.zip", 60), "--out", out) == 0
    pack = Pack.open(out)
    assert (pack.header.side_px, len(pack), pack.labels) == (64, 60, ("happiness", "sadness"))
    row = pack.ids.index("sad/0007.png")
    noise = np.random.default_rng(7).integers(0, 256, (64, 64), np.uint8)
    assert (pack.image(row) == noise).all()
    assert facts_of(out)["splits"] == {"train": 48, "valid": 6, "test": 6}


def test_the_same_data_gives_the_same_pack_and_force_replaces_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = squares(tmp_path / "a.zip", 20), tmp_path / "a.pack"
    assert prepare(data, "--out", out) == 0
    first = out.read_bytes()
    capsys.readouterr()
    assert prepare(data, "--out", out, "--faces", "whole") == 2
    assert capsys.readouterr().err == (
        f"emotion-trainer prepare: --out {out}: exists; --force replaces it\n"
    )
    assert prepare(data, "--out", out, "--force", "--threads", "4") == 0
    assert out.read_bytes() == first


def test_split_image_says_that_it_leaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.pack"
    assert prepare(squares(tmp_path / "a.zip", 20), "--out", out, "--split", "image") == 0
    assert "the same person is in training and in test" in " ".join(capsys.readouterr().out.split())
    assert facts_of(out)["warnings"][0].startswith("split by image: the same person")


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", "prepare", *map(str, arguments)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_goes_on_where_it_was(
    tmp_path: Path, wait_until: Callable[..., None], sign: signal.Signals
) -> None:
    data, out = squares(tmp_path / "a.zip", 1200), tmp_path / "out" / "a.pack"
    journal = out.with_name("a.pack.progress")
    process = start(data, "--out", out, "--threads", "1")
    wait_until(lambda: journal.exists() and journal.stat().st_size > 200_000)
    process.send_signal(sign)
    _, said = process.communicate(timeout=30)
    assert files(out.parent) == ["a.pack.progress"]
    if sign == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        done = re.search(r"stopped at ([\d,]+) of 1,200 images; the same command goes on", said)
        assert done is not None
        assert 0 < int(done[1].replace(",", "")) < 1200
        assert said.count("\n") == 1
    process = start(data, "--out", out)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "goes on" in said
    assert files(out.parent) == ["a.audit.html", "a.audit.json", "a.pack"]
    pack = Pack.open(out)
    pack.check()
    assert len(pack) == 1200


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line the command says when it refuses."""
    capsys.readouterr()
    assert prepare(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_data_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(data: Path, *options: str) -> str:
        return refusal(capsys, data, "--out", tmp_path / "out" / f"{data.stem}.pack", *options)

    one = squares(tmp_path / "one.zip", 4, ("happy",))
    assert "expected at least 2 classes, found only happiness" in said(one)
    two = squares(tmp_path / "two.zip", 4)
    text = said(two, "--labels", "happiness,sadness,fear")
    assert "no image of fear can be used" in text
    assert "--labels happiness,sadness leaves it out" in text
    bad = zip_up(tmp_path / "bad.zip", {"happy/a.jpg": b"x", "sad/b.jpg": b""})
    text = said(bad, "--faces", "whole")
    assert "no image can be used: not an image: 1, an empty file: 1" in text
    half = zip_up(
        tmp_path / "half.zip", {"happy/a.png": bytes(cv2.imencode(".png", wall())[1]),
                                "sad/b.jpg": b""}
    )  # fmt: skip
    text = said(half, "--faces", "whole")
    assert text.endswith("no image of sadness can be used (an empty file: 1)\n")
    assert "gone: no such file or folder" in said(tmp_path / "gone")
    assert "--labels: expected different labels" in said(two, "--labels", "a,a")
    assert "expected images, found none" in said(zip_up(tmp_path / "none.zip", {"a.txt": b""}))
    assert "expected a file to write, got a folder" in refusal(
        capsys, two, "--out", tmp_path / "out"
    )
    # What was cropped is kept for another try with other --labels; nothing else is.
    assert files(tmp_path / "out") == [
        "half.pack.progress", "one.pack.progress", "two.pack.progress",
    ]  # fmt: skip


def test_what_another_run_was_doing_is_not_dropped_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.pack"
    one = squares(tmp_path / "one.zip", 4, ("happy",))
    assert "only happiness" in refusal(capsys, one, "--out", out)
    two = squares(tmp_path / "two.zip", 20)
    assert "is what another run was doing" in refusal(capsys, two, "--out", out)
    assert prepare(two, "--out", out, "--force") == 0
    assert len(Pack.open(out)) == 20


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(tmp_path: Path) -> None:
    data, out = squares(tmp_path / "a.zip", 200), tmp_path / "out" / "a.pack"
    arguments = [sys.executable, "-m", "trainer", "prepare", str(data), "--out", str(out)]

    def run(*options: str, blocks: str = "unlimited") -> subprocess.CompletedProcess[str]:
        limited = f"trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""
        return subprocess.run(
            ["bash", "-c", limited, "-", *arguments, *options],
            cwd=REPOSITORY, capture_output=True, text=True,
        )  # fmt: skip

    def refused(done: subprocess.CompletedProcess[str], what: str) -> None:
        assert done.returncode in (1, 2), done.stderr
        assert what in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        assert files(out.parent) == ["a.pack.progress"]

    refused(run(blocks="300"), "a.pack.progress: cannot write: File too large; ")
    refused(run("--labels", "happiness,sadness,fear"), "no image of fear")  # all cropped by now
    refused(run(blocks="300"), "a.pack: cannot write the pack: File too large")
    done = run()
    assert done.returncode == 0, done.stderr
    assert len(Pack.open(out)) == 200


def test_ferplus_as_it_is_downloaded(tmp_path: Path) -> None:
    if not SHARED_FERPLUS.is_file():
        pytest.skip(f"needs FER+ in {SHARED_FERPLUS}")
    out = tmp_path / "ferplus.pack"
    assert prepare(SHARED_FERPLUS, "--out", out, "--limit", "400") == 0
    pack = Pack.open(out)
    assert pack.labels == (
        "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
    )  # fmt: skip
    assert pack.header.side_px == 48
    assert 400 <= len(pack) <= 420
    assert set(pack.truth.tolist()) == set(range(-1, 8))
    assert (pack.votes.sum(axis=1) + pack.unsure == 10).mean() > 0.9
    assert facts_of(out)["split by"] == "the data set's own"


def test_a_photo_in_training_and_in_test_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = {}
    for split, seeds in (("train", range(8)), ("val", range(20, 24)), ("test", (1, 30, 31, 32))):
        for seed in seeds:
            noise = np.random.default_rng(seed).integers(0, 256, (64, 64), np.uint8)
            label = ("happy", "sad")[seed % 2]
            data = bytes(cv2.imencode(".png", noise)[1])
            members[f"{split}/{label}/{seed}.png"] = data
    out = tmp_path / "a.pack"
    assert prepare(zip_up(tmp_path / "a.zip", members), "--out", out) == 0
    twins = facts_of(out)["duplicates"]
    assert (twins["groups across splits"], twins["copies with the same pixels"]) == (1, 1)
    assert twins["examples"] == [["test/sad/1.png", "train/sad/1.png"]]
    assert twins["crops with a twin in another split"] == {"train": 1, "valid": 0, "test": 1}
    assert "crops with a twin in another split: train 1, valid 0, test 1" in capsys.readouterr().out


def test_a_terminal_shows_how_far_it_is(tmp_path: Path) -> None:
    data, out = squares(tmp_path / "a.zip", 600), tmp_path / "a.pack"
    terminal, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", "prepare", str(data), "--out", str(out)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # Linux's way of saying that nobody writes any more
        while part := os.read(terminal, 65536):
            shown += part
    os.close(terminal)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, shown
    assert re.search(rb"cropping.*\d+/600.*\d+/s.*\d:\d\d:\d\d", shown)
    assert "look at it:" in said
    assert len(Pack.open(out)) == 600
