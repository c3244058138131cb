"""The assignment is the best there is, and quick for as many faces as a frame can have."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from consumer.people.assign import assign

GAINS = st.lists(
    st.dictionaries(
        st.integers(0, 4), st.sampled_from([0.5, 1.0, 2.0, 2.5, 7.0]) | st.floats(0.1, 9)
    ),
    max_size=5,
)


def best(gains: list[dict[int, float]], used: frozenset[int] = frozenset()) -> float:
    """The greatest sum, by trying everything."""
    if not gains:
        return 0.0
    first, rest = gains[0], gains[1:]
    sums = [gain + best(rest, used | {c}) for c, gain in first.items() if c not in used]
    return max([best(rest, used), *sums])


@given(GAINS)
def test_no_other_assignment_gains_more(gains: list[dict[int, float]]) -> None:
    columns = assign(gains)
    assert len(columns) == len(gains)
    taken = [column for column in columns if column is not None]
    assert len(taken) == len(set(taken))
    total = sum(gains[row][column] for row, column in enumerate(columns) if column is not None)
    assert abs(total - best(gains)) < 1e-9


def test_a_row_gives_way_along_a_chain() -> None:
    assert assign([{0: 5.0, 1: 4.0}, {0: 5.0}, {1: 1.0}]) == [1, 0, None]
    assert assign([{0: 9.0}, {0: 8.0, 1: 5.0}, {1: 6.0, 2: 4.0}]) == [0, 1, 2]


def test_nothing_is_assigned_to_nothing() -> None:
    assert assign([]) == []
    assert assign([{}, {}]) == [None, None]


def test_a_crowd_in_which_everybody_wants_several_places() -> None:
    """200 faces, each with 20 places: more than any crowd of boxes side by side has."""
    dice = random.Random(1)
    gains = [{(row + k) % 200: dice.uniform(1, 9) for k in range(20)} for row in range(200)]
    columns = assign(gains)
    assert sorted(column for column in columns if column is not None) == list(range(200))
    total = sum(gains[row][column] for row, column in enumerate(columns) if column is not None)
    greedy, used = 0.0, set()
    for gain, row, column in sorted(
        ((g, r, c) for r, options in enumerate(gains) for c, g in options.items()), reverse=True
    ):
        if row not in used and ~column not in used:
            used |= {row, ~column}
            greedy += gain
    assert total > greedy
