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
