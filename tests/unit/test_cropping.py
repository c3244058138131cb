"""Which face is meant, what a whole image becomes, and batches that neither mix nor lose any."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event, Lock

import cv2
import numpy as np
import pytest

from contract.event import Box
from tests.lookalikes import wall
from trainer.data.record import Record, Unreadable
from trainer.pack_format import decoded
from trainer.prepare.cropping import BATCH_SIZE, Cropped, Cropper, Refused, choose, whole
from worker.faces.detector import Detection

SMALL = Detection(Box(10, 10, 40, 50), 0.99)
LARGE = Detection(Box(100, 100, 200, 230), 0.6)


def test_the_largest_face_is_meant_where_nobody_says_which() -> None:
    assert choose([SMALL, LARGE], None) == (LARGE, None)


def test_an_annotated_box_says_which_face_is_meant() -> None:
    assert choose([LARGE, SMALL], (10, 10, 40, 50)) == (SMALL, 1.0)
    face, iou = choose([LARGE, SMALL], (0, 0, 50, 60))
    assert face == SMALL
    assert iou == pytest.approx(0.4)
    assert choose([LARGE, SMALL], (300, 300, 400, 400)) == (None, 0.0)


def test_a_whole_image_is_gray_square_and_of_the_right_size() -> None:
    picture = np.zeros((40, 20, 3), np.uint8)
    picture[:, :10] = 200
    crop = whole(picture, 40)
    assert crop.shape == (40, 40)
    assert (crop[:, :20] == 200).all()
    assert (crop[:, 20:] == 0).all()
    assert whole(wall(("collins.jpg", 0, 0)), 96).shape == (96, 96)
    same = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    assert (whole(np.stack([same] * 3, -1), 48) == same).all()


@dataclass(frozen=True)
class Bytes:
    data: bytes

    def read(self, limit: int = 0) -> bytes:
        if not self.data:
            raise Unreadable("gone")
        return self.data


def png(value: int) -> bytes:
    return bytes(cv2.imencode(".png", np.full((48, 48), value, np.uint8))[1])


def records(count: int) -> list[Record]:
    return [
        Record(str(i), Bytes(b"" if i % 10 == 9 else png(i)), (("calm", 1.0),))
        for i in range(count)
    ]


def test_every_record_has_one_outcome_in_order() -> None:
    cropper = Cropper("whole", 48, exact=True, detector=None)
    count = 3 * BATCH_SIZE + 5
    found = [
        o for batch in cropper.outcomes(records(count), threads=3, stop=Event()) for o in batch
    ]
    assert [outcome.id for outcome in found] == [str(i) for i in range(count)]
    for i, outcome in enumerate(found):
        if i % 10 == 9:
            assert outcome == Refused(str(i), "gone")
        else:
            assert isinstance(outcome, Cropped)
            image = decoded(outcome.data)
            assert image is not None
            assert (image == i).all()


def test_another_size_than_the_data_set_has_is_refused() -> None:
    cropper = Cropper("whole", 64, exact=True, detector=None)
    (found,) = cropper.outcomes(records(1), threads=1, stop=Event())
    assert found == [Refused("0", "not 64x64 pixels")]


def test_no_more_than_two_batches_are_read_ahead_and_a_stop_ends_it() -> None:
    lock, read = Lock(), [0]

    @dataclass(frozen=True)
    class Counted(Bytes):
        def read(self, limit: int = 0) -> bytes:
            with lock:
                read[0] += 1
            return self.data

    stop = Event()
    many = [Record(str(i), Counted(png(1)), (("calm", 1.0),)) for i in range(20 * BATCH_SIZE)]
    batches = Cropper("whole", 48, exact=True, detector=None).outcomes(many, threads=2, stop=stop)
    next(batches)
    assert read[0] <= 2 * BATCH_SIZE
    stop.set()
    assert list(batches) == []
    assert read[0] <= 3 * BATCH_SIZE


def test_photos_need_a_detector() -> None:
    with pytest.raises(ValueError, match="expected a detector for faces 'find'"):
        Cropper("find", 96, exact=False, detector=None)
