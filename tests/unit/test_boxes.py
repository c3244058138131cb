"""Priors, overlap, suppression and pixels, against numbers worked out by hand or naively."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from contract.event import Box
from worker.faces import boxes

corners = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 30), st.just(4)),
    elements=st.floats(-2, 3, width=32),
)


def test_priors_are_those_of_the_prototxt() -> None:
    priors = boxes.priors()

    assert priors.shape == (8892, 4)
    assert priors.dtype == np.float32
    root = np.sqrt(2)
    expected = [
        [4, 4, 30, 30],
        [4, 4, np.sqrt(1800), np.sqrt(1800)],
        [4, 4, 30 * root, 30 / root],
        [4, 4, 30 / root, 30 * root],
        [12, 4, 30, 30],  # the next cell is to the right
    ]
    np.testing.assert_allclose(priors[:5] * 300, expected, rtol=1e-6)
    np.testing.assert_allclose(priors[-1, :2] * 300, [1350, 1350])  # far outside: step 300


def test_candidates_are_decoded_and_sorted_picture_by_picture() -> None:
    predictions = np.full((3, 8892, 5), -9, np.float32)
    predictions[0, 7] = [1, -2, 0.5, 0, 2]
    predictions[0, 3] = [0, 0, 0, 0, 3]
    predictions[2, 8891] = [0, 0, 0, 0, 0]

    first, second, third = boxes.candidates(predictions, 0.25)

    x, y, width, height = boxes.priors()[7]
    x, y, width = x + 0.1 * width, y - 0.2 * height, width * np.exp(0.1)
    sigmoid_2 = 1 / (1 + np.exp(-2))
    moved = [x - width / 2, y - height / 2, x + width / 2, y + height / 2, sigmoid_2]
    x, y, width, height = boxes.priors()[3]
    kept = [x - width / 2, y - height / 2, x + width / 2, y + height / 2, 1 / (1 + np.exp(-3))]
    np.testing.assert_allclose(first, [kept, moved], rtol=1e-5)
    assert (second.shape, third.shape) == ((0, 5), (1, 5))
    assert third[0, 4] == 0.5


def test_candidates_are_the_400_best_and_the_earlier_prior_of_equals() -> None:
    logits = np.random.default_rng(0).integers(0, 20, 8892).astype(np.float32)
    predictions = np.zeros((1, 8892, 5), np.float32)
    predictions[0, :, 4] = logits

    (found,) = boxes.candidates(predictions, 0.01)

    best = np.argsort(-logits, kind="stable")[:400]
    np.testing.assert_allclose(found[:, 4], 1 / (1 + np.exp(-logits[best])), rtol=1e-6)
    prior = boxes.priors()[best]
    np.testing.assert_allclose((found[:, :2] + found[:, 2:4]) / 2, prior[:, :2], atol=1e-5)


def test_no_pictures_have_no_candidates() -> None:
    assert boxes.candidates(np.empty((0, 8892, 5), np.float32), 0.5) == []


def test_overlap_of_boxes() -> None:
    box = np.array([[0, 0, 2, 1]], np.float32)
    others = np.array([[0, 0, 2, 1], [1, 0, 3, 1], [2, 0, 3, 1], [5, 5, 5, 5]], np.float32)

    np.testing.assert_allclose(boxes.overlaps(box, others), [[1, 1 / 3, 0, 0]])


def test_suppression_drops_what_overlaps_a_kept_box() -> None:
    found = np.array([[0, 0, 1, 1], [0, 0, 1, 0.9], [0.9, 0, 1.9, 1], [0, 0, 1, 0.4]], np.float32)

    assert boxes.suppress(found) == [0, 2, 3]


@given(corners)
def test_suppression_is_the_greedy_rule(found: np.ndarray) -> None:
    overlaps = boxes.overlaps(found, found)
    expected: list[int] = []
    for row in range(len(found)):
        if all(overlaps[row, kept] <= 0.45 for kept in expected):
            expected.append(row)

    assert boxes.suppress(found) == expected


def test_suppression_keeps_200_at_most() -> None:
    left = np.arange(300, dtype=np.float32)
    found = np.stack([left, left * 0, left + 1, left * 0 + 1], axis=1)

    assert boxes.suppress(found) == list(range(200))


def test_share_inside_the_picture() -> None:
    found = np.array(
        [[0, 0, 1, 1], [-1, 0, 1, 1], [2, 2, 3, 3], [-1, -1, 2, 2], [0.5, 0.5, 0.5, 0.5]],
        np.float32,
    )

    np.testing.assert_allclose(boxes.share_inside(found), [1, 0.5, 0, 1 / 9, 0])


def test_no_boxes_are_no_boxes() -> None:
    none = np.empty((0, 4), np.float32)

    assert boxes.suppress(none) == []
    assert boxes.overlaps(none, none).shape == (0, 0)
    assert boxes.share_inside(none).shape == (0,)


def test_pixels_round_towards_zero_and_stay_in_the_frame() -> None:
    box = np.array([-0.1, 0.119, 0.999, 1.5], np.float32)

    assert boxes.to_pixels(box, width=100, height=50) == Box(0, 5, 99, 50)


@pytest.mark.parametrize(
    "box", [[1.0, 0, 2, 1], [0, -2, 1, -1], [0.5, 0.5, 0.501, 1], [1, 0, 0, 1]]
)
def test_a_box_without_pixels_in_the_frame_is_none(box: list[float]) -> None:
    assert boxes.to_pixels(np.array(box, np.float32), width=100, height=50) is None


@given(corners, st.integers(1, 5000), st.integers(1, 5000))
def test_pixels_are_always_inside(found: np.ndarray, width: int, height: int) -> None:
    for row in found:
        box = boxes.to_pixels(row, width=width, height=height)
        if box is not None:
            assert 0 <= box.left < box.right <= width
            assert 0 <= box.top < box.bottom <= height
