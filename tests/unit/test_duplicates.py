"""Perceptual hashes find the same face after re-encoding, and no other."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from contract.event import Box
from tests.lookalikes import FACES, portrait
from trainer.prepare.duplicates import coarse_hash, fine_hash, grouped, near_duplicates
from worker.faces.crop import crop_face


def face(name: str, side_px: int = 96) -> np.ndarray:
    return crop_face(portrait(name), Box(*FACES[name]), side_px)


def jpeg(crop: np.ndarray) -> np.ndarray:
    data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def pairs(*crops: np.ndarray) -> list[list[int]]:
    found = near_duplicates([coarse_hash(c) for c in crops], [fine_hash(c) for c in crops])
    result: list[list[int]] = found.tolist()
    return result


@pytest.mark.parametrize("name", FACES)
def test_a_face_is_found_again_after_jpeg_resizing_and_dimming(name: str) -> None:
    crop = face(name)
    others = [face(other) for other in FACES if other != name]
    dimmed = (crop * 0.7).astype(np.uint8)
    smaller = cv2.resize(crop, (64, 64), interpolation=cv2.INTER_AREA)
    for changed in (crop, jpeg(crop), dimmed, np.asarray(smaller, np.uint8)):
        assert pairs(*others, crop, changed) == [[3, 4]]


def test_different_faces_and_a_mirrored_one_are_no_duplicates() -> None:
    faces = [face(name) for name in FACES]
    assert pairs(*faces, *(np.ascontiguousarray(crop[:, ::-1]) for crop in faces)) == []


def test_all_pairs_within_reach_are_found_among_many() -> None:
    generator = np.random.default_rng(3)
    coarse = generator.integers(0, 256, (3000, 8), np.uint8)
    coarse[1000:2000] = coarse[:1000]
    bit = generator.integers(0, 64, 1000)
    coarse[np.arange(1000, 2000), bit // 8] ^= (1 << (bit % 8)).astype(np.uint8)
    fine = generator.integers(0, 256, (3000, 32), np.uint8)
    fine[1000:1900] = fine[:900]  # a hundred are alike by the coarse hash only
    found = near_duplicates([row.tobytes() for row in coarse], [row.tobytes() for row in fine])
    assert found.tolist() == [[i, i + 1000] for i in range(900)]


def test_many_of_the_same_are_found_without_comparing_all() -> None:
    same = [bytes(8)] * 3000
    found = near_duplicates(same, [bytes(32)] * 3000)
    assert 2999 <= len(found) < 100_000
    assert set(found.ravel().tolist()) == set(range(3000))


def test_pairs_join_into_groups() -> None:
    pairs = np.array([[5, 9], [1, 2], [2, 7], [0, 7], [9, 11]])
    assert grouped(pairs) == [[0, 1, 2, 7], [5, 9, 11]]
    assert grouped(np.empty((0, 2), np.int64)) == []


def test_nothing_has_no_duplicates() -> None:
    assert near_duplicates([], []).shape == (0, 2)
    assert near_duplicates([bytes(8)], [bytes(32)]).shape == (0, 2)
